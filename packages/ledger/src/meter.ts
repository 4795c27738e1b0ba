/**
 * What takes time: `verify` a batch of transactions from when a worker is given it to its answer, `execute` one block in
 * the contracts and the state tree, `commit` one block from there until it is on the disk, `flush` one round of writing
 * to the store behind the blocks.
 */
export const ledgerPhases = ['verify', 'execute', 'commit', 'flush'] as const;
export type LedgerPhase = (typeof ledgerPhases)[number];

export type LedgerMeasurement =
  | { kind: 'phase'; phase: LedgerPhase; seconds: number }
  /** A block that is on the disk: its time and the result code of each transaction. */
  | { kind: 'block'; timeMs: number; codes: readonly number[] }
  /** Who signed the block before, as CometBFT tells with each block. */
  | { kind: 'votes'; validators: number; power: number; missing: number; missingPower: number }
  /** Evidence of validators' misbehaviour in a block. */
  | { kind: 'evidence'; count: number };

type Listener = (measurement: LedgerMeasurement) => void;

/** Tells whoever listens what a ledger measures of itself: durations, counts and codes, never what a transaction says. */
export class Meter {
  readonly #listeners = new Set<Listener>();

  /** Returns what ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(measurement: LedgerMeasurement): void {
    for (const listener of this.#listeners) listener(measurement);
  }

  /** `sinceMs` as performance.now() gave it. */
  time(phase: LedgerPhase, sinceMs: number): void {
    if (this.#listeners.size === 0) return;
    this.tell({ kind: 'phase', phase, seconds: (performance.now() - sinceMs) / 1000 });
  }
}
