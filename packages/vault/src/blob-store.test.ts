import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SalusError } from '@salus/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlobIndex } from './blob-index.ts';
import { type BlobStore, blobAddress, openBlobStore, packedBlobBytesMax } from './blob-store.ts';
import {
  filesBelow,
  filesContaining,
  flipInFile,
  gather,
  refusal,
  runModule,
  smallDisk,
  temporaryDirectory,
} from './testing.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let dir: string;
let opened: BlobStore | undefined;

beforeEach(() => {
  temporary = temporaryDirectory();
  dir = join(temporary.path, 'blobs');
});
afterEach(async () => {
  await opened?.close();
  opened = undefined;
  temporary.remove();
});

async function open(): Promise<BlobStore> {
  await opened?.close();
  opened = undefined;
  opened = await openBlobStore(dir);
  return opened;
}

async function close(): Promise<void> {
  await opened?.close();
  opened = undefined;
}

const small = () => new Uint8Array(randomBytes(50 + Math.floor(Math.random() * 2_000)));
const large = () => new Uint8Array(randomBytes(packedBlobBytesMax + 1));
const packPath = (pack = 1) => join(dir, 'packs', `${String(pack).padStart(8, '0')}.pack`);
const filePath = (address: string) => join(dir, 'files', address.slice(0, 2), address.slice(2, 4), address);

describe('R-REC-5 blob store: tampering is detected', () => {
  it('the scan finds one flipped bit anywhere in any blob, and names it', async () => {
    const store = await open();
    const blobs = [...Array.from({ length: 30 }, small), large(), large()];
    const stored = await Promise.all(blobs.map((blob) => store.put(blob)));
    expect(await store.scan()).toMatchObject({ blobs: 32, damaged: [], missing: [] });
    await close();
    const files = [packPath(), filePath(stored[30]!.address), filePath(stored[31]!.address)];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(7),
        async (path, part, bit) => {
          const position = Math.min(readFileSync(path).length - 1, Math.floor(part * readFileSync(path).length));
          flipInFile(path, position, bit);
          const report = await (await open()).scan();
          expect(report.damaged).toHaveLength(1);
          expect(stored.map(({ address }) => address)).toContain(report.damaged[0]);
          expect(report.blobs).toBe(32);
          if (path === packPath())
            expect(await refusal(() => opened!.get(report.damaged[0]!))).toMatch(/blobDamaged|nothing/);
          await close();
          flipInFile(path, position, bit);
        },
      ),
      {
        numRuns: 30,
        examples: [
          [packPath(), 0, 0],
          [packPath(), 1, 7],
        ],
      },
    );
  });

  it('the scan finds missing and shortened files', async () => {
    const store = await open();
    const [one, two, packed] = await Promise.all([store.put(large()), store.put(large()), store.put(small())]);
    await close();
    rmSync(filePath(one.address));
    truncateSync(filePath(two.address), 100);
    truncateSync(packPath(), 30);
    const report = await (await open()).scan();
    expect(report.damaged).toEqual([]);
    expect(report.missing.sort()).toEqual([one, two, packed].map(({ address }) => address).sort());
    expect(await refusal(() => gather(opened!.read(one.address)))).toBe('blobDamaged');
  });

  it('a flipped bit anywhere in the index is noticed or changes nothing', async () => {
    const store = await open();
    const blobs = [...Array.from({ length: 60 }, small), large()];
    const stored = await Promise.all(blobs.map((blob) => store.put(blob)));
    await close();
    const path = join(dir, 'index.sqlite');
    const whole = readFileSync(path);
    const packs = readFileSync(packPath());
    let noticed = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (position, bit) => {
        flipInFile(path, position, bit);
        const sound = await open()
          .then((damaged) => damaged.scan())
          .then(
            ({ blobs: found, damaged, missing, indexSound }) =>
              indexSound && found === 61 && damaged.length + missing.length === 0,
          )
          .catch((error) => error instanceof SalusError && false);
        if (sound)
          for (const { address } of stored) expect(blobAddress(await gather(opened!.read(address)))).toBe(address);
        else noticed += 1;
        await close().catch(() => undefined);
        for (const file of filesBelow(dir).filter((name) => name.includes('index.sqlite'))) rmSync(file);
        writeFileSync(path, whole);
        expect(readFileSync(packPath()).equals(packs)).toBe(true);
      }),
      {
        numRuns: 60,
        examples: [
          [31, 0],
          [31, 1],
          [16, 0],
          [100, 3],
          [0, 0],
        ],
      },
    );
    expect(noticed).toBeGreaterThan(3);
  });

  it('the scan reports progress and addresses, no content', async () => {
    const store = await open();
    await Promise.all(Array.from({ length: 700 }, () => store.put(new Uint8Array(randomBytes(64)))));
    const seen: number[] = [];
    const report = await store.scan((bytes) => seen.push(bytes));
    expect(report).toEqual({ blobs: 700, bytes: 700 * 64, damaged: [], missing: [], indexSound: true });
    expect(seen[0]).toBe(512 * 64);
    expect(seen.at(-1)).toBe(700 * 64);
  });
});

describe('R-REC-5 blob store: nothing half visible', () => {
  it('unknown and malformed addresses', async () => {
    const store = await open();
    expect(await refusal(() => store.get('0'.repeat(64)))).toBe('blobUnknown');
    expect(await refusal(() => gather(store.read('0'.repeat(64))))).toBe('blobUnknown');
    for (const address of ['', '../../etc/passwd', 'A'.repeat(64), '0'.repeat(63)]) {
      expect(await refusal(() => store.get(address))).toBe('blobAddress');
      expect(await refusal(() => store.delete([address]))).toBe('blobAddress');
    }
    expect(store.has('0'.repeat(64))).toBe(false);
    await store.delete(['0'.repeat(64)]);
    const { address } = await store.put(small());
    expect(await refusal(() => gather(store.read(address, 5, 4)))).toBe('contentRange');
    expect(await refusal(() => gather(store.read(address, 0, 1e6)))).toBe('contentRange');
  });

  it('a torn pack tail and a pack that nobody acknowledged are cut off; what was acknowledged stays', async () => {
    const store = await open();
    const blobs = Array.from({ length: 20 }, small);
    const stored = await Promise.all(blobs.map((blob) => store.put(blob)));
    await close();
    let whole = readFileSync(packPath());
    for (const tail of [whole.subarray(0, 17), whole.subarray(0, 700), randomBytes(5_000), Buffer.alloc(9_000)]) {
      appendFileSync(packPath(), tail);
      writeFileSync(packPath(2), tail);
      const again = await open();
      expect(readFileSync(packPath()).equals(whole)).toBe(true);
      expect(readdirSync(join(dir, 'packs'))).toHaveLength(1);
      expect(again.counts().blobs).toBe(20);
      const more = await again.put(small());
      expect((await again.get(more.address)).length).toBe(more.bytes);
      await again.delete([more.address]);
      expect(await again.scan()).toMatchObject({ blobs: 20, indexSound: true });
      await close();
      whole = readFileSync(packPath());
    }
    const last = await open();
    for (const [i, { address }] of stored.entries()) expect(await last.get(address)).toEqual(Buffer.from(blobs[i]!));
  });

  it('a lost, older or foreign index never makes the store throw away or write over its packs', async () => {
    const first = await open();
    await first.put(small());
    await close();
    const older = readFileSync(join(dir, 'index.sqlite'));
    const second = await open();
    for (let i = 0; i < 5; i++)
      await Promise.all(Array.from({ length: 20 }, () => second.put(new Uint8Array(randomBytes(200_000)))));
    await close();
    const whole = readFileSync(packPath());
    for (const index of [undefined, Buffer.alloc(0), older]) {
      rmSync(join(dir, 'index.sqlite'));
      if (index !== undefined) writeFileSync(join(dir, 'index.sqlite'), index);
      expect(await refusal(() => open())).toBe('storeDamaged');
      expect(readFileSync(packPath()).equals(whole)).toBe(true);
      if (index === undefined) writeFileSync(join(dir, 'index.sqlite'), '');
    }
  });

  it('a crash at each step of a large blob leaves all or nothing', async () => {
    await open();
    await close();
    const blob = large();
    const address = blobAddress(blob);
    const index = () => new BlobIndex(join(dir, 'index.sqlite'));
    // Written, not yet announced.
    writeFileSync(join(dir, 'arriving', '77-1'), blob);
    expect((await open()).has(address)).toBe(false);
    await close();
    expect(readdirSync(join(dir, 'arriving'))).toEqual([]);
    // Announced, not renamed.
    let database = index();
    database.announceFile(address, blob.length);
    database.close();
    expect((await open()).has(address)).toBe(false);
    await close();
    // Announced and renamed, not confirmed.
    database = index();
    database.announceFile(address, blob.length);
    database.close();
    mkdirSync(dirname(filePath(address)), { recursive: true });
    writeFileSync(filePath(address), blob);
    expect((await open()).has(address)).toBe(false);
    await close();
    expect(filesBelow(join(dir, 'files'))).toEqual([]);
    expect((await (await open()).put(blob)).address).toBe(address);
    expect(opened!.counts()).toEqual({ blobs: 1, bytes: blob.length });
  });

  it('a deletion that was begun is finished', async () => {
    const store = await open();
    const [one, two] = await Promise.all([store.put(small()), store.put(large())]);
    await close();
    const index = new BlobIndex(join(dir, 'index.sqlite'));
    index.markLeaving([one.address, two.address]);
    index.close();
    const again = await open();
    expect([again.has(one.address), again.has(two.address)]).toEqual([false, false]);
    expect(filesBelow(join(dir, 'files'))).toEqual([]);
    expect(await again.scan()).toMatchObject({ blobs: 0, damaged: [] });
  });

  it('a stream that fails midway stores nothing', async () => {
    const store = await open();
    async function* failing() {
      yield large();
      throw new Error('connection lost');
    }
    await expect(store.putStream(failing())).rejects.toThrow('connection lost');
    expect(readdirSync(join(dir, 'arriving'))).toEqual([]);
    expect(store.counts().blobs).toBe(0);
  });

  it('a process killed at random loses nothing that it acknowledged', async () => {
    const script = `
      import { openBlobStore } from 'DIRECTORY/blob-store.ts';
      import { randomBytes } from 'node:crypto';
      const store = await openBlobStore(process.argv.at(-1));
      for (let i = 0; ; i++) {
        const sizes = Array.from({ length: 20 }, () => 100 + Math.floor(Math.random() * 4000));
        if (i % 3 === 0) sizes.push(${packedBlobBytesMax + 1});
        const stored = await Promise.all(sizes.map((size) => store.put(randomBytes(size))));
        console.log(stored.map(({ address }) => address).join(' '));
      }`;
    const acknowledged: string[] = [];
    for (let round = 0; round < 4; round++) {
      const child = runModule(script, [dir]);
      while (child.lines.length < 3 + round * 4) await new Promise((resolve) => setTimeout(resolve, 3 + round));
      child.kill();
      await child.exited;
      acknowledged.push(...child.lines.flatMap((line) => line.split(' ')));
    }
    const store = await open();
    for (const address of acknowledged) expect(blobAddress(await gather(store.read(address)))).toBe(address);
    const report = await store.scan();
    expect(report).toMatchObject({ damaged: [], missing: [] });
    expect(report.blobs).toBeGreaterThanOrEqual(acknowledged.length);
    const known = filesBelow(join(dir, 'files')).length;
    expect(known).toBeGreaterThan(3);
  });

  it('a second opener, here or in another process, is refused until the first one ends', async () => {
    await open();
    expect(await refusal(() => openBlobStore(dir))).toBe('storeInUse');
    const script = `import { openBlobStore } from 'DIRECTORY/blob-store.ts';
      await openBlobStore(process.argv.at(-1)).then(() => console.log('open'), (error) => console.log(error.code));`;
    const child = runModule(script, [dir]);
    await child.exited;
    expect(child.lines).toEqual(['210']);
    await close();
    await open();
  });

  const disk = temporaryDirectory();
  const wrapper = smallDisk(disk.path, 6);
  disk.remove();
  it.skipIf(wrapper === undefined)('a full disk: a clear error, nothing half stored, and it goes on', async () => {
    mkdirSync(dir);
    const script = `
      import { openBlobStore } from 'DIRECTORY/blob-store.ts';
      import { randomBytes } from 'node:crypto';
      const dir = process.argv.at(-1);
      let store = await openBlobStore(dir);
      const kept = [];
      let refused = new Set();
      for (let i = 0; i < 30; i++) {
        const sizes = i % 2 ? [400000] : Array.from({ length: 50 }, () => 5000);
        const results = await Promise.allSettled(sizes.map((size) => store.put(randomBytes(size))));
        for (const r of results) r.status === 'fulfilled' ? kept.push(r.value.address) : refused.add(r.reason.code);
      }
      const reopen = async () => { await store.close(); store = await openBlobStore(dir); return store.scan(); };
      const first = await reopen();
      const ok = first.blobs === kept.length && first.damaged.length + first.missing.length === 0;
      await store.delete(kept.slice(-6)).catch(() => undefined);
      const big = kept.filter((address) => store.has(address) && store.length(address) > 300000);
      await store.delete(big);
      const { address } = await store.put(randomBytes(3000));
      const second = await reopen();
      console.log(JSON.stringify({ refused: [...refused], kept: kept.length, ok, after: store.has(address), second }));`;
    const child = runModule(script, [dir], smallDisk(dir, 6));
    const { stderr } = await child.exited;
    expect(stderr).toBe('');
    const result = JSON.parse(child.lines[0]!);
    expect(result).toMatchObject({ refused: [232], ok: true, after: true, second: { damaged: [], missing: [] } });
    expect(result.kept).toBeGreaterThan(30);
  });
});

describe('R-REC-5 blob store: storing and removing', () => {
  it('any mix of sizes comes back whole and in part, after a restart too', async () => {
    const store = await open();
    const sizes = [0, 1, 39, 40, 4_096, packedBlobBytesMax - 1, packedBlobBytesMax, packedBlobBytesMax + 1, 1_500_000];
    const blobs = sizes.map((size) => new Uint8Array(randomBytes(size)));
    const stored = await Promise.all(
      blobs.map((blob, i) => (i % 2 ? store.putStream([blob.subarray(0, 30), blob.subarray(30)]) : store.put(blob))),
    );
    for (const restart of [false, true]) {
      const current = restart ? await open() : store;
      for (const [i, blob] of blobs.entries()) {
        const { address, bytes } = stored[i]!;
        expect(address).toBe(createHash('sha256').update(blob).digest('hex'));
        expect([bytes, current.length(address)]).toEqual([blob.length, blob.length]);
        expect(Buffer.from(await gather(current.read(address))).equals(blob)).toBe(true);
        const [start, end] = [Math.floor(blob.length / 3), Math.floor(blob.length / 2)];
        expect(Buffer.from(await gather(current.read(address, start, end))).equals(blob.subarray(start, end))).toBe(
          true,
        );
      }
    }
  });

  it('the same bytes are stored once', async () => {
    const store = await open();
    const [one, two] = [small(), large()];
    await Promise.all([store.put(one), store.put(one), store.put(two), store.put(two)]);
    await Promise.all([store.put(one), store.put(two)]);
    expect(store.counts()).toEqual({ blobs: 2, bytes: one.length + two.length });
    expect(readFileSync(packPath()).length).toBe(40 + one.length);
  });

  it('deleted bytes are overwritten, and the space comes back', async () => {
    const store = await open();
    const blobs = Array.from({ length: 40 }, small);
    const stored = await Promise.all(blobs.map((blob) => store.put(blob)));
    const big = large();
    const { address } = await store.put(big);
    await store.delete([address, ...stored.slice(0, 30).map((blob) => blob.address)]);
    expect(store.counts().blobs).toBe(10);
    for (const blob of [big, ...blobs.slice(0, 30)]) expect(filesContaining(dir, blob.subarray(0, 48))).toBe(0);
    expect(await refusal(() => store.get(stored[0]!.address))).toBe('blobUnknown');
    await close();
    // Only packs that are no longer written to are compacted.
    const index = new BlobIndex(join(dir, 'index.sqlite'));
    index.addPacked([], { pack: 2, bytes: 0 });
    index.close();
    writeFileSync(packPath(2), '');
    const again = await open();
    expect(await again.compact()).toBeGreaterThan(30 * 50);
    expect(readdirSync(join(dir, 'packs'))).toEqual(['00000002.pack']);
    for (const [i, { address: kept }] of stored.slice(30).entries()) {
      expect(await again.get(kept)).toEqual(Buffer.from(blobs[30 + i]!));
    }
    expect(await (await open()).scan()).toMatchObject({ blobs: 10, damaged: [], missing: [], indexSound: true });
  });

  it('a compaction that was stopped halfway costs nothing', async () => {
    const store = await open();
    const blobs = Array.from({ length: 10 }, small);
    const stored = await Promise.all(blobs.map((blob) => store.put(blob)));
    await close();
    const pack = readFileSync(packPath());
    // Half of the blobs have been copied and entered; the old pack is still there.
    let index = new BlobIndex(join(dir, 'index.sqlite'));
    const page = index.page(undefined, 5);
    const half = pack.subarray(0, page[4]!.position + 40 + page[4]!.bytes);
    writeFileSync(packPath(2), half);
    const moved = page.map((place) => ({ ...place, pack: 2 }));
    index.movePacked(moved, { pack: 2, bytes: half.length }, { pack: 1, deadBytes: half.length });
    index.close();
    expect(await (await open()).scan()).toMatchObject({ blobs: 10, damaged: [], indexSound: true });
    await opened!.delete(stored.filter((_, i) => i % 2).map(({ address }) => address));
    await opened!.compact();
    await close();
    // Everything has been moved and the pack is forgotten, but its file is still there.
    writeFileSync(packPath(1), pack);
    index = new BlobIndex(join(dir, 'index.sqlite'));
    expect(index.packs().map((known) => known.pack)).toEqual([2]);
    index.close();
    expect(await (await open()).scan()).toMatchObject({ blobs: 5, damaged: [], indexSound: true });
    expect(readdirSync(join(dir, 'packs'))).toEqual(['00000002.pack']);
  });

  it('refuses work after it was closed', async () => {
    const store = await open();
    const waiting = store.put(small());
    await close();
    expect((await waiting).bytes).toBeGreaterThan(0);
    expect(await refusal(() => store.put(small()))).toBe('storeClosed');
  });

  it('streams a large blob with flat memory', async () => {
    const store = await open();
    const totalBytes = 96 * 1_048_576;
    const block = new Uint8Array(randomBytes(1_048_576));
    let peak = 0;
    const before = process.memoryUsage().rss;
    const watch = () => {
      peak = Math.max(peak, process.memoryUsage().rss - before);
    };
    function* source() {
      for (let sent = 0; sent < totalBytes; sent += block.length) {
        watch();
        yield block;
      }
    }
    const { address } = await store.putStream(source());
    let read = 0;
    for await (const piece of store.read(address)) {
      read += piece.length;
      watch();
    }
    expect(read).toBe(totalBytes);
    expect(peak).toBeLessThan(totalBytes * 0.75);
  });
});
