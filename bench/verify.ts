/** What it costs to check a receipt offline: votes, headers, Merkle and state proofs, with nothing remembered between. */
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { type Anchor, sha256, toHex, verifyReceipt } from '@salus/protocol';
import { latenciesOf } from './latencies.ts';
import { type Measurement, openRig, presign, print, saturate } from './ledger-load.ts';

const limitMs = 5;
const transactionCount = 2_000;
const warmUpRounds = 200;

function measure(name: string, receipts: readonly Uint8Array[], anchor: Anchor): Measurement {
  for (let round = 0; round < warmUpRounds; round += 1) verifyReceipt(receipts[round % receipts.length]!, anchor);
  const times = receipts.map((bytes) => {
    const startMs = performance.now();
    verifyReceipt(bytes, anchor);
    return performance.now() - startMs;
  });
  return { name, unit: 'ms', ...latenciesOf(times, limitMs), bytes: receipts[0]?.length };
}

export async function benchVerify(count = transactionCount): Promise<Measurement[]> {
  const rig = await openRig();
  try {
    const transactions = await presign(rig.network, count, 'verify');
    await saturate(rig.ledger, transactions);
    const receipts: Uint8Array[] = [];
    const proofs: Uint8Array[] = [];
    const anchor = rig.ledger.anchor();
    for (const bytes of transactions) {
      receipts.push(await rig.ledger.receipt(toHex(sha256(bytes))));
    }
    const keys = [...rig.ledger.iterate('')].map(([key]) => key).slice(0, count);
    for (const key of keys) proofs.push(await rig.ledger.stateProof(key));
    const absences: Uint8Array[] = [];
    for (let n = 0; n < count / 4; n += 1) absences.push(await rig.ledger.stateProof(`kernel/nothing/${n}`));
    return [
      measure('receipt verification', receipts, anchor),
      measure('state proof verification', proofs, anchor),
      measure('absence proof verification', absences, anchor),
    ];
  } finally {
    await rig.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const measurement of await benchVerify()) print(measurement);
}
