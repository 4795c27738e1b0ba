import { kernelErrors } from '@salus/contracts';
import { SalusError } from '@salus/protocol';
import type { Submitted } from '../embedded/engine.ts';
import { ledgerError } from '../errors.ts';
import { waitingBytesMax, waitingTransactionsMax } from '../limits.ts';
import type { CommittedTransactions } from './abci-application.ts';
import { CometErrorCodes, cometError } from './errors.ts';
import { resubmitAfterMs, resubmitTransactionsMax, submissionWaitMsMax } from './limits.ts';
import type { CometRpc } from './rpc.ts';

type Waiting = {
  bytes: Uint8Array;
  validUntil: number;
  sinceMs: number;
  /** When CometBFT was last told of it. */
  sentMs: number;
  answers: { resolve(result: Submitted): void; reject(error: SalusError): void }[];
};

/** CometBFT has it, or had it; that says nothing of whether it is in a block. */
const ALREADY_KNOWN = 'tx already exists in cache';
const MEMPOOL_FULL = 'mempool is full';

/**
 * Transactions on their way into a block: told to CometBFT, told again when it may have forgotten them, and answered
 * when their block is on this member's disk.
 */
export class Submissions {
  readonly #rpc: CometRpc;
  readonly #waiting = new Map<string, Waiting>();
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  constructor(rpc: CometRpc) {
    this.#rpc = rpc;
    this.#timer = setInterval(() => void this.#resubmit(), resubmitAfterMs / 2);
    this.#timer.unref();
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(hash: string, bytes: Uint8Array, validUntil: number): Promise<Submitted> {
    return new Promise((resolve, reject) => {
      const present = this.#waiting.get(hash);
      if (present) {
        present.answers.push({ resolve, reject });
        return;
      }
      const isFull = this.#waiting.size >= waitingTransactionsMax || this.#bytes + bytes.length > waitingBytesMax;
      if (isFull) {
        reject(ledgerError('overloaded'));
        return;
      }
      const nowMs = performance.now();
      const waiting = { bytes, validUntil, sinceMs: nowMs, sentMs: nowMs, answers: [{ resolve, reject }] };
      this.#waiting.set(hash, waiting);
      this.#bytes += bytes.length;
      void this.#send(hash, waiting, true);
    });
  }

  /** Answers those of a block; refuses what it refused, and what no later block can take. */
  committed({ height, timeMs, hashes, results, unfit }: CommittedTransactions): void {
    for (const [index, { code, log }] of unfit) this.refuse(hashes[index] as string, new SalusError(code, log));
    for (const [index, hash] of hashes.entries()) {
      const waiting = this.#leave(hash);
      const result = results[index];
      if (!waiting || !result) continue;
      for (const { resolve } of waiting.answers) resolve({ hash, height, index, ...result });
    }
    for (const [hash, { validUntil }] of this.#waiting) {
      if (validUntil <= timeMs) this.refuse(hash, expired());
    }
  }

  refuse(hash: string, reason: SalusError): void {
    for (const { reject } of this.#leave(hash)?.answers ?? []) reject(reason);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const hash of [...this.#waiting.keys()]) this.refuse(hash, ledgerError('closed'));
  }

  #leave(hash: string): Waiting | undefined {
    const waiting = this.#waiting.get(hash);
    if (!waiting) return undefined;
    this.#waiting.delete(hash);
    this.#bytes -= waiting.bytes.length;
    return waiting;
  }

  /** What CometBFT says of it the first time is the answer; later it may only have forgotten, or have it already. */
  async #send(hash: string, waiting: Waiting, isFirst: boolean): Promise<void> {
    waiting.sentMs = performance.now();
    try {
      const tx = Buffer.from(waiting.bytes).toString('base64');
      const { code, log } = (await this.#rpc.call('broadcast_tx_sync', { tx })) as { code: number; log: string };
      if (code === 0 || !this.#waiting.has(hash)) return;
      if (isFirst || code !== kernelErrors.replayed.code) this.refuse(hash, new SalusError(code, log));
    } catch (error) {
      if (!(error instanceof SalusError)) throw error;
      if (error.code === CometErrorCodes.consensusUnreachable) return;
      if (error.message.includes(ALREADY_KNOWN)) return;
      if (error.message.includes(MEMPOOL_FULL)) this.refuse(hash, ledgerError('overloaded'));
      else this.refuse(hash, error);
    }
  }

  async #resubmit(): Promise<void> {
    const nowMs = performance.now();
    let left = resubmitTransactionsMax;
    for (const [hash, waiting] of this.#waiting) {
      if (waiting.sinceMs < nowMs - submissionWaitMsMax) this.refuse(hash, cometError('undecided'));
      if (waiting.sentMs > nowMs - resubmitAfterMs || !this.#waiting.has(hash)) continue;
      await this.#send(hash, waiting, false);
      left -= 1;
      if (left === 0) break;
    }
  }
}

function expired(): SalusError {
  const { code, name, advice } = kernelErrors.expired;
  return new SalusError(code, `${name}: ${advice}`);
}
