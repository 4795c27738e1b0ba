import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VaultErrorCodes, vaultErrors } from './errors.ts';
import { FileKeyProvider } from './organisation-keys.ts';
import { filesContaining, gather, refusal, temporaryDirectory } from './testing.ts';
import { openVault, recordBytesMax, type Vault } from './vault.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let vault: Vault;

async function open(): Promise<Vault> {
  const keys = new FileKeyProvider(join(temporary.path, 'secret', 'organisation.json'));
  return openVault({
    dir: join(temporary.path, 'vault'),
    organisation: 'did:salus:hospital',
    keys,
    log: { segmentBytes: 262_144 },
  });
}

beforeEach(async () => {
  temporary = temporaryDirectory();
  vault = await open();
});
afterEach(async () => {
  await vault.close();
  temporary.remove();
});

const patient = utf8('{"resourceType":"Patient","name":[{"family":"Canary-Example"}]}');

describe('R-REC-5 vault: records', () => {
  it('a blob does not open as another record, nor after its erasure; its bytes are gone', async () => {
    const [one, two] = await vault.storeRecords([
      { patientId: 'p1', recordId: 'r1', content: patient },
      { patientId: 'p1', recordId: 'r2', content: patient },
    ]);
    expect(one!.address).not.toBe(two!.address);
    expect(await refusal(() => vault.readRecord('r2', one!.address))).toBe('contentDamaged');
    expect(await refusal(() => vault.readRecord('r1', '0'.repeat(64)))).toBe('blobUnknown');
    expect(await refusal(() => vault.readRecord('r9', one!.address))).toBe('keyUnknown');
    const ciphertext = await vault.blobs.get(one!.address);
    const evidence = await vault.eraseRecords('p1', [{ recordId: 'r1', addresses: [one!.address] }]);
    expect(evidence.keysDestroyed).toBe(1);
    expect(await refusal(() => vault.readRecord('r1', one!.address))).toBe('keyDestroyed');
    expect(vault.blobs.has(one!.address)).toBe(false);
    expect(filesContaining(temporary.path, ciphertext.subarray(32))).toBe(0);
    expect(await vault.readRecord('r2', two!.address)).toEqual(Buffer.from(patient));
  });

  it('nothing lies in clear on disk', async () => {
    await vault.storeRecords([{ patientId: 'p1', recordId: 'r1', content: patient }]);
    await vault.storeRecordStream({ patientId: 'p1', recordId: 'image' }, [new Uint8Array(400_000).fill(65)]);
    await vault.log.append(utf8('Dr Canary-Example read r1'));
    expect(filesContaining(temporary.path, utf8('Canary-Example'))).toBe(0);
    expect(filesContaining(temporary.path, new Uint8Array(64).fill(65))).toBe(0);
  });

  it('small, middle and large contents come back, whole and in part, after a restart and a rotation', async () => {
    const sizes = [0, 300, 65_536, 65_537, 300_000, 1_000_000];
    const items = sizes.map((size, i) => ({
      patientId: 'p1',
      recordId: `r${i}`,
      content: new Uint8Array(randomBytes(size)),
    }));
    const stored = await vault.storeRecords(items);
    await vault.ring.rotate();
    await vault.close();
    vault = await open();
    for (const [i, { recordId, content }] of items.entries()) {
      const { address } = stored[i]!;
      expect(Buffer.from(await vault.readRecord(recordId, address)).equals(content)).toBe(true);
      const range = { start: Math.floor(content.length / 4), end: Math.floor(content.length / 2) };
      const part = await gather(vault.readRecordStream(recordId, address, range));
      expect(Buffer.from(part).equals(content.subarray(range.start, range.end))).toBe(true);
      expect(Buffer.from(await gather(vault.readRecordStream(recordId, address))).equals(content)).toBe(true);
    }
    expect(await vault.scan()).toMatchObject({
      ok: true,
      blobs: { blobs: sizes.length },
      keys: { records: sizes.length },
    });
    const evidence = await vault.erasePatient(
      'p1',
      stored.map(({ address }) => address),
    );
    expect(evidence.keysDestroyed).toBe(sizes.length + 1);
    expect(vault.blobs.counts().blobs).toBe(0);
  });

  it('a backup taken at work opens by itself, and holds no organisation key', async () => {
    const content = new Uint8Array(randomBytes(300_000));
    const stored = await vault.storeRecords([
      { patientId: 'p1', recordId: 'r1', content: patient },
      { patientId: 'p1', recordId: 'r2', content },
    ]);
    await vault.log.append(utf8('read r1'));
    await vault.log.markAnchored(vault.log.head());
    const copy = join(temporary.path, 'copy');
    await vault.copyTo(copy);
    await vault.eraseRecords('p1', [{ recordId: 'r1', addresses: [stored[0]!.address] }]);
    const list = readFileSync(join(temporary.path, 'vault', 'keys', 'erasures.jsonl'), 'utf8');
    const secret = JSON.parse(readFileSync(join(temporary.path, 'secret', 'organisation.json'), 'utf8'));
    const key = secret.epochs[0].key as string;
    expect(filesContaining(copy, utf8(key)) + filesContaining(copy, Buffer.from(key, 'base64url'))).toBe(0);
    await vault.close();
    renameSync(join(temporary.path, 'vault'), join(temporary.path, 'lost'));
    renameSync(copy, join(temporary.path, 'vault'));
    vault = await open();
    expect(await vault.scan()).toMatchObject({
      ok: true,
      blobs: { blobs: 2 },
      keys: { records: 2 },
      log: { entries: 1 },
    });
    expect(Buffer.from(await vault.readRecord('r2', stored[1]!.address)).equals(content)).toBe(true);
    expect(await vault.log.verify()).toMatchObject({ entries: 1 });
    expect(vault.log.anchored().sequence).toBe(1);
    expect(await vault.ring.replayErasures(list)).toBe(1);
    expect(await refusal(() => vault.readRecord('r1', stored[0]!.address))).toBe('keyDestroyed');
    expect(Buffer.from(await vault.readRecord('r2', stored[1]!.address)).equals(content)).toBe(true);
  });

  it('a backup as of an earlier moment has what came after to be anchored again', async () => {
    await vault.log.append(utf8('read r1'));
    const first = vault.log.head();
    await vault.log.markAnchored(first);
    await vault.log.append(utf8('read r2'));
    await vault.log.markAnchored(vault.log.head());
    const copy = join(temporary.path, 'copy');
    await vault.copyTo(copy, first);
    await vault.close();
    renameSync(join(temporary.path, 'vault'), join(temporary.path, 'lost'));
    renameSync(copy, join(temporary.path, 'vault'));
    vault = await open();
    expect(vault.log.anchored()).toEqual(first);
    expect((await vault.log.pending())?.entries).toHaveLength(1);
  });

  it('does not gather more than its limit in memory', async () => {
    function* endless() {
      for (let sent = 0; sent <= recordBytesMax; sent += 1_048_576) yield new Uint8Array(1_048_576);
    }
    const { address } = await vault.storeRecordStream({ patientId: 'p1', recordId: 'r1' }, endless());
    expect(await refusal(() => vault.readRecord('r1', address))).toBe('contentTooLarge');
  });
});

describe('R-REC-5 vault: errors', () => {
  it('have distinct numbers from 200 to 299, each with advice', () => {
    const codes = Object.values(VaultErrorCodes);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) {
      expect(code).toBeGreaterThanOrEqual(200);
      expect(code).toBeLessThan(300);
      expect(vaultErrors.get(code)!.advice.length).toBeGreaterThan(20);
    }
  });
});
