/**
 * What replay protection costs per transaction: one digest per minute bucket (as built), or one leaf per (sender, id)
 * that is inserted and, ten minutes later, removed. Trees of a million keys, blocks of 500 (ADR 3).
 */
import { randomBytes } from 'node:crypto';
import { sha256, toBase64url, utf8 } from '@salus/protocol';
import { StateTree } from '../packages/ledger/src/tree/state-tree.ts';

const keysPreloaded = 1_000_000;
const transactionsPerBlock = 500;
const blocks = 40;
const upperLevels = 18;

function tree(): { apply(writes: [string, Uint8Array | undefined][]): void } {
  const buckets = new Map<number, Uint8Array>();
  const made = new StateTree({ get: (index) => buckets.get(index) }, upperLevels);
  return {
    apply(writes) {
      for (const [index, bucket] of made.update(writes)) buckets.set(index, bucket);
    },
  };
}

function microsPerTransaction(work: (block: number) => void): number {
  const startUs = process.cpuUsage();
  for (let block = 0; block < blocks; block += 1) work(block);
  const { user, system } = process.cpuUsage(startUs);
  return (user + system) / (blocks * transactionsPerBlock);
}

const state = tree();
const stored = randomBytes(40);
for (let from = 0; from < keysPreloaded; from += 10_000) {
  state.apply(Array.from({ length: 10_000 }, (_, n) => [`kernel/stamp/x/${from + n}`, stored]));
}
const ids = Array.from({ length: blocks * transactionsPerBlock }, () => toBase64url(randomBytes(16)));
const idsOf = (block: number): string[] => ids.slice(block * transactionsPerBlock, (block + 1) * transactionsPerBlock);

let digest: Uint8Array = new Uint8Array(32);
const bucket = microsPerTransaction((block) => {
  for (const id of idsOf(block)) digest = sha256(digest, sha256(utf8(`did:salus:sender|${id}`)));
  state.apply([['kernel/replay/1', digest]]);
});
const leaf = microsPerTransaction((block) => {
  state.apply(idsOf(block).map((id) => [`kernel/replay/${id}`, stored]));
  if (block > 0) state.apply(idsOf(block - 1).map((id) => [`kernel/replay/${id}`, undefined]));
});
const round = (value: number): number => Math.round(value * 100) / 100;
console.log(JSON.stringify({ name: 'replay by digest per minute', value: round(bucket), unit: 'us/tx' }));
console.log(
  JSON.stringify({
    name: 'replay by leaf per id',
    value: round(leaf),
    unit: 'us/tx',
    limit: round(bucket),
    ratio: round(leaf / bucket),
  }),
);
