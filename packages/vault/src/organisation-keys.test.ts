import { chmodSync, existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EnvironmentKeyProvider, FileKeyProvider } from './organisation-keys.ts';
import { refusal, temporaryDirectory } from './testing.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let path: string;
beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, 'secret', 'organisation.json');
});
afterEach(() => temporary.remove());

const good = `{"format":"salus-organisation-key/1","epochs":[{"epoch":1,"key":"${'A'.repeat(43)}","createdMs":1}]}`;

describe('R-REC-5 organisation key in a file', () => {
  it('refuses a file that others can read, and one that cannot be parsed', async () => {
    const provider = new FileKeyProvider(path);
    await provider.create(1);
    for (const mode of [0o640, 0o604, 0o666]) {
      chmodSync(path, mode);
      expect(await refusal(() => provider.load())).toBe('organisationKeyExposed');
    }
    chmodSync(path, 0o600);
    const broken = [
      '',
      '[]',
      'null',
      good.replace('/1', '/2'),
      good.replace('A', '!'),
      good.replace('A', ''),
      good.replace('"epoch":1', '"epoch":0'),
      good.replace('{"epoch"', '{"x":{"epoch"'),
      good.replace('"epochs":[', '"epochs":[7,'),
      good.slice(0, 60),
    ];
    for (const text of broken) {
      writeFileSync(path, text);
      expect([text, await refusal(() => provider.load())]).toEqual([text, 'organisationKeyDamaged']);
    }
    writeFileSync(path, good);
    expect((await provider.load()).get(1)).toEqual(new Uint8Array(32));
  });

  it('is made with mode 0600 in a directory with mode 0700, atomically, once', async () => {
    const provider = new FileKeyProvider(path);
    expect((await provider.load()).size).toBe(0);
    const key = await provider.create(1);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(await provider.create(1)).toEqual(key);
    expect(await new FileKeyProvider(path).load()).toEqual(new Map([[1, key]]));
    expect(readdirSync(dirname(path))).toEqual(['organisation.json']);
  });

  it('destroys an epoch in the file that it replaces too', async () => {
    const provider = new FileKeyProvider(path);
    const old = Buffer.from(await provider.create(1)).toString('base64url');
    await provider.create(2);
    const sameInode = join(temporary.path, 'linked');
    linkSync(path, sameInode);
    expect(readFileSync(sameInode, 'utf8')).toContain(old);
    await provider.destroy(1);
    expect(readFileSync(path, 'utf8')).not.toContain(old);
    expect(readFileSync(sameInode, 'utf8')).not.toContain(old);
    expect([...(await provider.load()).keys()]).toEqual([2]);
  });

  it('a file that a crash left beside it changes nothing', async () => {
    const provider = new FileKeyProvider(path);
    const key = await provider.create(1);
    writeFileSync(join(dirname(path), '.1.tmp'), 'half');
    expect((await provider.load()).get(1)).toEqual(key);
    expect(existsSync(path)).toBe(true);
  });
});

describe('R-REC-5 organisation key in the environment', () => {
  it('is read strictly and never changed', async () => {
    const one = Buffer.alloc(32, 1).toString('base64url');
    const of = (KEYS?: string) => new EnvironmentKeyProvider('KEYS', { KEYS });
    expect((await of().load()).size).toBe(0);
    expect(await of(`1:${one}, 2:${one}`).load()).toEqual(
      new Map([
        [1, new Uint8Array(32).fill(1)],
        [2, new Uint8Array(32).fill(1)],
      ]),
    );
    for (const text of [one, `1:${one}=`, '1:AAAA', `0:${one}`, `x:${one}`, `99999999999:${one}`]) {
      expect(await refusal(() => of(text).load())).toBe('organisationKeyDamaged');
    }
    expect(await refusal(() => of(`1:${one}`).create(2))).toBe('organisationKeyReadOnly');
    expect(await refusal(() => of(`1:${one}`).destroy(1))).toBe('organisationKeyReadOnly');
    await of(`1:${one}`).destroy(7);
  });
});
