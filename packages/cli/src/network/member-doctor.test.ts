import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { examineDirectory } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNetwork } from './network-directory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-member-doctor-'));
let data: string;
let other: string;
beforeAll(async () => {
  const { members } = await createNetwork({ dir: join(scratch, 'net'), validators: 2, basePort: 20_000 });
  [data, other] = members.map(({ dataDir }) => dataDir) as [string, string];
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const ofComet = async (dir: string) => (await examineDirectory(dir)).problems.filter((one) => one.startsWith('comet/'));
const key = 'config/priv_validator_key.json';
const state = 'data/priv_validator_state.json';

describe('R-PPL-5 R-LED-8 the doctor at a member’s CometBFT', () => {
  test('finds nothing where all is there', async () => {
    expect(await ofComet(data)).toEqual([]);
  });

  test.each([
    ['half a validator key', key, /damaged: restore it from the escrow/],
    ['the public key of another', key, /damaged: restore it from the escrow/],
    ['no validator key', key, /missing: restore it from the escrow/],
    ['no node key', 'config/node_key.json', /missing: restore it from the escrow/],
    ['an empty genesis', 'config/genesis.json', /damaged: restore it from a backup/],
    ['no record of what was signed', state, /missing: never start without it: `salus network resync`/],
    ['half a record of what was signed', state, /damaged: never start without it/],
    ['no configuration', 'config/config.toml', /missing: restore it from a backup/],
  ])('finds %s', async (what, name, expected) => {
    const file = join(data, 'comet', name);
    const kept = join(scratch, 'kept');
    copyFileSync(file, kept);
    if (what.startsWith('no ')) rmSync(file);
    else if (what.startsWith('half')) truncateSync(file, 10);
    else if (what.startsWith('an empty')) writeFileSync(file, '{}');
    else {
      const { pub_key: foreign } = JSON.parse(readFileSync(join(other, 'comet', name), 'utf8'));
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), pub_key: foreign }));
    }
    try {
      const found = await ofComet(data);
      expect(found).toHaveLength(1);
      expect(found[0]).toMatch(expected);
      expect(found[0]).toContain(`comet/${name}`);
    } finally {
      copyFileSync(kept, file);
    }
  });

  test('finds that all of it is gone', async () => {
    rmSync(join(other, 'comet'), { recursive: true });
    expect(await ofComet(other)).toEqual(['comet/ is missing: restore it from a backup and the escrow of keys']);
  });
});
