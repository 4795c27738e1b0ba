import { SalusError, sha256, toHex } from '@salus/protocol';
import type { VerifiedBytes, Verifier } from '../verify/verifier.ts';
import { verifiedBytesMax, verifiedTransactionsMax } from './limits.ts';

export type Verdict = VerifiedBytes | SalusError;

/** From the end of a transaction, where its signature stands: enough to find it without hashing it again. */
const tailBytes = 42;

function tailOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(
    'latin1',
    Math.max(0, bytes.length - tailBytes),
  );
}

function isSame(left: Uint8Array, right: Uint8Array | undefined): boolean {
  return right !== undefined && Buffer.compare(left, right) === 0;
}

/**
 * Transactions with good signatures by the hash of their bytes: each comes up to five times (check, proposal, block)
 * and is verified once. What was refused is not kept, and what is signed with a key that it carries neither: a signature can
 * be made that is good under two keys, and members must find the same one whatever they have seen before.
 */
export class TransactionPool {
  readonly #verifier: Verifier;
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  /** Oldest first. */
  readonly #verified = new Map<string, VerifiedBytes>();
  /** The same by their tails; where two have one tail the second is found by its hash alone. */
  readonly #byTail = new Map<string, VerifiedBytes>();
  /** Those of the last list, where all were good. */
  #last: readonly VerifiedBytes[] = [];
  /** Also by their tails. */
  readonly #underway = new Map<string, { bytes: Uint8Array; verdict: Promise<Verdict> }>();
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
    const tail = tailOf(bytes);
    const seen = this.#byTail.get(tail);
    if (seen && isSame(seen.tx.bytes, bytes)) return seen;
    // Only where two end alike the hash has to tell them apart.
    const present = seen && this.#verified.get(toHex(sha256(bytes)));
    if (present) return present;
    const underway = this.#underway.get(tail);
    if (underway && isSame(underway.bytes, bytes)) return underway.verdict;
    // The bytes lie in a buffer that many messages share: what is kept must not hold it.
    const own = bytes.slice();
    const verdict = new Promise<Verdict>((resolve) => {
      this.#verifier.verify(own, (found) => {
        if (this.#underway.get(tail)?.bytes === own) this.#underway.delete(tail);
        if (!(found instanceof SalusError) && found.isLasting) this.#keep(found);
        resolve(found);
      });
    });
    if (!underway) this.#underway.set(tail, { bytes: own, verdict });
    return verdict;
  }

  /** A block comes as proposal and again as decision: what is equal to the byte is not hashed again. */
  async verifyAll(transactions: readonly Uint8Array[]): Promise<readonly Verdict[]> {
    const last = this.#last;
    const isLast =
      last.length === transactions.length && last.every(({ tx }, at) => isSame(tx.bytes, transactions[at]));
    if (isLast) return last;
    const verdicts = await Promise.all(transactions.map((bytes) => this.verify(bytes)));
    const verified = verdicts.filter((verdict): verdict is VerifiedBytes => !(verdict instanceof SalusError));
    const areLasting = verified.length === verdicts.length && verified.every(({ isLasting }) => isLasting);
    this.#last = areLasting ? verified : [];
    return verdicts;
  }

  /** Its block is committed, or it can never be in one. */
  forget(hash: string): void {
    const verified = this.#verified.get(hash);
    if (!verified) return;
    const { bytes } = verified.tx;
    this.#verified.delete(hash);
    this.#bytes -= bytes.length;
    const tail = tailOf(bytes);
    if (this.#byTail.get(tail) === verified) this.#byTail.delete(tail);
  }

  #keep(verified: VerifiedBytes): void {
    if (this.#verified.has(verified.hash)) return;
    const { bytes } = verified.tx;
    this.#verified.set(verified.hash, verified);
    this.#bytes += bytes.length;
    const tail = tailOf(bytes);
    if (!this.#byTail.has(tail)) this.#byTail.set(tail, verified);
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size <= this.#entriesMax && this.#bytes <= this.#bytesMax) break;
      this.forget(oldest);
    }
  }
}
