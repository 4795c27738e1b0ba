import type { VerifiedTransaction } from '@salus/contracts';
import { parseTransaction } from '@salus/protocol';
import type { BlockPosition } from '../application.ts';
import type { DurableApplication } from '../durable-application.ts';
import { type Network, stampTransaction } from './fixture.ts';

const blockMs = 1_000;

/** A transaction whose signatures count as checked with the keys that are registered now. */
export function verified(application: DurableApplication, bytes: Uint8Array): VerifiedTransaction {
  const tx = parseTransaction(bytes);
  const keysUsed = tx.signatures.map(({ kid }) => {
    const key = application.keyFor(kid, tx.payload);
    if ('code' in key) throw new Error(key.log);
    return key.thumbprint;
  });
  return { tx, keysUsed };
}

/** Block time that every run of a test has alike. */
export function positionAfter({ height, timeMs }: { height: number; timeMs: number }): BlockPosition {
  return { height: height + 1, blockTimeMs: timeMs + blockMs };
}

/** Signed stamps, valid at the place where the next block will stand. */
export function stamps(network: Network, position: BlockPosition, labels: readonly string[]): Promise<Uint8Array[]> {
  return Promise.all(
    labels.map((label, index) => {
      const participant = network.participants[index % network.participants.length] as Network['participants'][number];
      return stampTransaction(network, participant, label, { nowMs: position.blockTimeMs });
    }),
  );
}

/** Finalizes and commits one block; returns the root after it. */
export async function commitBlock(application: DurableApplication, transactions: Uint8Array[]): Promise<Uint8Array> {
  const position = positionAfter(application.info());
  application.finalizeBlock(
    transactions.map((bytes) => verified(application, bytes)),
    position,
  );
  return (await application.commit()).appHash;
}
