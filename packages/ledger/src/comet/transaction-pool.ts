import { SalusError, sha256, toHex } from '@salus/protocol';
import type { VerifiedBytes, Verifier } from '../verify/verifier.ts';
import { verifiedBytesMax, verifiedTransactionsMax } from './limits.ts';

export type Verdict = VerifiedBytes | SalusError;

function isSame(left: Uint8Array, right: Uint8Array | undefined): boolean {
  return right !== undefined && Buffer.compare(left, right) === 0;
}

/**
 * Transactions with good signatures by the hash of their bytes: each comes up to five times (check, proposal, block)
 * and is verified once. What was refused is not kept. That a key has changed since is found by execution, which
 * compares the keys used with state.
 */
export class TransactionPool {
  readonly #verifier: Verifier;
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  /** Oldest first. */
  readonly #verified = new Map<string, VerifiedBytes>();
  /** Those of the last list, where all were good. */
  #last: readonly VerifiedBytes[] = [];
  readonly #underway = new Map<string, Promise<Verdict>>();
  #bytes = 0;

  constructor(verifier: Verifier, entriesMax = verifiedTransactionsMax, bytesMax = verifiedBytesMax) {
    this.#verifier = verifier;
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#verified.size;
  }

  /** By hash; undefined where it was not verified or is forgotten. */
  known(hash: string): VerifiedBytes | undefined {
    return this.#verified.get(hash);
  }

  verify(bytes: Uint8Array): Verdict | Promise<Verdict> {
    const hash = toHex(sha256(bytes));
    const present = this.#verified.get(hash) ?? this.#underway.get(hash);
    if (present) return present;
    const verifying = new Promise<Verdict>((resolve) => {
      // The bytes lie in a buffer that many messages share: what is kept must not hold it.
      this.#verifier.verify(bytes.slice(), (verdict) => {
        this.#underway.delete(hash);
        if (!(verdict instanceof SalusError)) this.#keep(verdict);
        resolve(verdict);
      });
    });
    this.#underway.set(hash, verifying);
    return verifying;
  }

  /** A block comes as proposal and again as decision: what is equal to the byte is not hashed again. */
  async verifyAll(transactions: readonly Uint8Array[]): Promise<readonly Verdict[]> {
    const last = this.#last;
    const isLast =
      last.length === transactions.length && last.every(({ tx }, at) => isSame(tx.bytes, transactions[at]));
    if (isLast) return last;
    const verdicts = await Promise.all(transactions.map((bytes) => this.verify(bytes)));
    const verified = verdicts.filter((verdict): verdict is VerifiedBytes => !(verdict instanceof SalusError));
    this.#last = verified.length === verdicts.length ? verified : [];
    return verdicts;
  }

  /** Its block is committed, or it can never be in one. */
  forget(hash: string): void {
    const verified = this.#verified.get(hash);
    if (!verified) return;
    this.#verified.delete(hash);
    this.#bytes -= verified.tx.bytes.length;
  }

  #keep(verified: VerifiedBytes): void {
    this.#verified.set(verified.hash, verified);
    this.#bytes += verified.tx.bytes.length;
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size <= this.#entriesMax && this.#bytes <= this.#bytesMax) break;
      this.forget(oldest);
    }
  }
}
