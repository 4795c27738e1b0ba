/** What the vault costs, each next to what the machine gives without it in the same run. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSigningKey } from '@salus/protocol';
import {
  decryptContent,
  encryptContent,
  FileKeyProvider,
  openSealed,
  openVault,
  sealPayload,
  type Vault,
} from '@salus/vault';

const mebibyte = 1_048_576;
const streamBytes = 192 * mebibyte;
const chunkBytes = 65_536;
const recordBytes = 1_500;
const recordCount = 20_000;
const importBatchRecords = 500;
const recordsPerSecondMin = 1_500;
const largeBytes = 300 * mebibyte;

type Figure = {
  name: string;
  value: number;
  unit: string;
  limit?: number;
  ratio?: number;
  p50Ms?: number;
  p99Ms?: number;
};

function print(figure: Figure): void {
  console.log(JSON.stringify(figure, (_, value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value)));
}

async function secondsOf(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1_000;
}

async function timesMs(
  count: number,
  work: (i: number) => Promise<unknown>,
): Promise<{ p50Ms: number; p99Ms: number; meanMs: number }> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push((await secondsOf(() => work(i))) * 1_000);
  const meanMs = times.reduce((sum, time) => sum + time, 0) / count;
  times.sort((a, b) => a - b);
  const at = (part: number) => times[Math.min(count - 1, Math.floor(count * part))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), meanMs };
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const piece of source) bytes += piece.length;
  return bytes;
}

function* blocks(bytes: number): Generator<Uint8Array> {
  const block = randomBytes(mebibyte);
  for (let sent = 0; sent < bytes; sent += block.length) yield block;
}

/** AES-256-GCM on 64 KiB pieces by node:crypto, nothing else. */
function rawGcm(): void {
  const key = randomBytes(32);
  const block = randomBytes(chunkBytes);
  for (let sent = 0; sent < streamBytes; sent += chunkBytes) {
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
    cipher.update(block);
    cipher.final();
  }
}

async function streaming(): Promise<void> {
  const options = { key: randomBytes(32), context: 'bench' };
  rawGcm();
  const raw = streamBytes / mebibyte / (await secondsOf(rawGcm));
  print({ name: 'raw AES-256-GCM', value: raw, unit: 'MiB/s' });
  await drain(encryptContent(options, blocks(32 * mebibyte)));
  const encrypt = streamBytes / mebibyte / (await secondsOf(() => drain(encryptContent(options, blocks(streamBytes)))));
  print({ name: 'encryptContent', value: encrypt, unit: 'MiB/s', limit: raw, ratio: encrypt / raw });
  const sealed: Uint8Array[] = [];
  for await (const piece of encryptContent(options, blocks(streamBytes))) sealed.push(piece);
  const decrypt = streamBytes / mebibyte / (await secondsOf(() => drain(decryptContent(options, sealed))));
  print({ name: 'decryptContent', value: decrypt, unit: 'MiB/s', limit: raw, ratio: decrypt / raw });
}

async function records(vault: Vault): Promise<void> {
  const content = randomBytes(recordBytes);
  const addresses: string[] = [];
  const seconds = await secondsOf(async () => {
    for (let start = 0; start < recordCount; start += importBatchRecords) {
      const items = Array.from({ length: importBatchRecords }, (_, i) => ({
        patientId: `patient-${(start + i) % 300}`,
        recordId: `record-${start + i}`,
        content,
      }));
      for (const { address } of await vault.storeRecords(items)) addresses.push(address);
    }
  });
  const rate = recordCount / seconds;
  print({
    name: 'storeRecords, durable',
    value: rate,
    unit: 'records/s',
    limit: recordsPerSecondMin,
    ratio: rate / recordsPerSecondMin,
  });
  const read = await timesMs(3_000, (i) => vault.readRecord(`record-${i * 5}`, addresses[i * 5] ?? ''));
  print({ name: 'readRecord', value: 1_000 / read.meanMs, unit: 'records/s', p50Ms: read.p50Ms, p99Ms: read.p99Ms });
  const erase = await timesMs(20, (i) =>
    vault.eraseRecords(`patient-${i}`, [{ recordId: `record-${i}`, addresses: [addresses[i] ?? ''] }]),
  );
  print({ name: 'eraseRecords, proven', value: erase.meanMs, unit: 'ms', p50Ms: erase.p50Ms, p99Ms: erase.p99Ms });
}

/** One write and one fdatasync per turn: the most that a log without group commit could do. */
async function rawSyncs(dir: string): Promise<number> {
  const fd = openSync(join(dir, 'raw'), 'w');
  const block = randomBytes(512);
  const seconds = await secondsOf(() => {
    for (let i = 0; i < 300; i++) {
      writeSync(fd, block);
      fdatasyncSync(fd);
    }
  });
  closeSync(fd);
  return 300 / seconds;
}

async function log(vault: Vault, dir: string): Promise<void> {
  const entry = randomBytes(400);
  const raw = await rawSyncs(dir);
  print({ name: 'raw write + fdatasync', value: raw, unit: '1/s' });
  const single = await timesMs(500, () => vault.log.append(entry));
  print({
    name: 'log.append, one at a time',
    value: 1_000 / single.meanMs,
    unit: 'entries/s',
    limit: raw,
    ratio: 1_000 / single.meanMs / raw,
    p50Ms: single.p50Ms,
    p99Ms: single.p99Ms,
  });
  const together =
    20_000 / (await secondsOf(() => Promise.all(Array.from({ length: 20_000 }, () => vault.log.append(entry)))));
  print({ name: 'log.append, together', value: together, unit: 'entries/s', limit: raw, ratio: together / raw });
}

async function large(vault: Vault): Promise<void> {
  const before = process.memoryUsage().rss;
  let peak = 0;
  function* watched() {
    for (const block of blocks(largeBytes)) {
      peak = Math.max(peak, process.memoryUsage().rss - before);
      yield block;
    }
  }
  let address = '';
  const store = await secondsOf(async () => {
    ({ address } = await vault.storeRecordStream({ patientId: 'patient-1', recordId: 'image' }, watched()));
  });
  print({ name: 'storeRecordStream 300 MiB', value: largeBytes / mebibyte / store, unit: 'MiB/s' });
  print({ name: 'storeRecordStream 300 MiB, memory', value: peak / mebibyte, unit: 'MiB' });
  const read = await secondsOf(() => drain(vault.readRecordStream('image', address)));
  print({ name: 'readRecordStream 300 MiB', value: largeBytes / mebibyte / read, unit: 'MiB/s' });
}

async function scan(vault: Vault): Promise<void> {
  const block = randomBytes(mebibyte);
  const hash = createHash('sha256');
  const raw = 128 / (await secondsOf(() => Array.from({ length: 128 }, () => hash.update(block))));
  const rate = vault.blobs.counts().bytes / mebibyte / (await secondsOf(() => vault.scan()));
  print({ name: 'scan', value: rate, unit: 'MiB/s', limit: raw, ratio: rate / raw });
}

async function sealed(): Promise<void> {
  const [one, two] = [await generateSigningKey(), await generateSigningKey()];
  const content = randomBytes(400);
  const recipients = [one.publicJwk, two.publicJwk];
  const seal = await timesMs(150, () => sealPayload({ content, recipients, context: 'bench' }));
  print({
    name: 'sealPayload, two parties',
    value: 1_000 / seal.meanMs,
    unit: '1/s',
    p50Ms: seal.p50Ms,
    p99Ms: seal.p99Ms,
  });
  const { envelope, tags } = await sealPayload({ content, recipients, context: 'bench' });
  const open = await timesMs(150, () => openSealed(envelope, two.privateJwk, { context: 'bench', tag: tags[1] }));
  print({ name: 'openSealed', value: 1_000 / open.meanMs, unit: '1/s', p50Ms: open.p50Ms, p99Ms: open.p99Ms });
}

const dir = mkdtempSync(join(tmpdir(), 'salus-bench-vault-'));
const keys = new FileKeyProvider(join(dir, 'secret', 'organisation.json'));
const vault = await openVault({ dir: join(dir, 'vault'), organisation: 'did:salus:bench', keys });
try {
  await large(vault);
  await records(vault);
  await scan(vault);
  await log(vault, dir);
  await streaming();
  await sealed();
} finally {
  await vault.close();
  rmSync(dir, { recursive: true });
}
