import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SalusError } from '@salus/protocol';
import { Store } from '../state/store.ts';

/** Of 600 seeds those that use up the store's free list within a few writes. */
const seeds = [290, 73, 326, 388];
const writes = 64;

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Writes of very different sizes over the same keys. */
async function churn(store: Store, seed: number): Promise<void> {
  const random = seeded(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const [keys, entriesMax, valueBytes] = [200 + below(5_000), 20 + below(600), 100 + below(1_500)];
  const share = random();
  for (let write = 0; write < writes; write += 1) {
    const entries = 1 + below(random() < share ? entriesMax : 10);
    await store.write((writer) => {
      for (let entry = 0; entry < entries; entry += 1) writer.state(`k${below(keys)}`, new Uint8Array(valueBytes));
    });
  }
}

const failures: string[] = [];
for (const seed of seeds) {
  const dir = mkdtempSync(join(tmpdir(), 'salus-free.'));
  const store = new Store(dir);
  await churn(store, seed).catch((error: unknown) => {
    failures.push(`seed ${seed}: ${error instanceof SalusError ? error.message : String(error)}`);
  });
  await store.close();
  rmSync(dir, { recursive: true });
}
console.log(JSON.stringify({ failures }));
