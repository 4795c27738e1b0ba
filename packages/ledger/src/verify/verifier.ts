import { Worker } from 'node:worker_threads';
import { type ParsedTransaction, type Payload, parseKid, SalusError } from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import {
  verifyBatchesPerWorker,
  verifyBatchTransactions,
  verifyBatchTransactionsMax,
  verifyGatherMs,
} from '../limits.ts';
import type { Meter } from '../meter.ts';
import type { FromWorker, KeyAnswer, Outcome, ToWorker, VerifyAnswer } from './protocol.ts';

/**
 * A transaction whose signatures are good under keys with these thumbprints; execution compares them with state. Unless
 * `isLasting` that says nothing of a later state.
 */
export type VerifiedBytes = { tx: ParsedTransaction; keysUsed: readonly string[]; hash: string; isLasting: boolean };
export type ResolveKey = (kid: string, payload: Payload) => KeyAnswer;
export type VerifyDone = (verified: VerifiedBytes | SalusError) => void;

type Waiting = { bytes: Uint8Array; done: VerifyDone };
type Batch = { waiting: Waiting[]; sentMs: number };
type WorkerState = { worker: Worker; batches: Map<number, Batch> };

const hashBytes = 32;
/** Signatures were checked in the worker; execution needs to know who signed, not what. */
const CHECKED = new Uint8Array(0);

function parsedOf(bytes: Uint8Array, hash: Uint8Array, outcome: Exclude<Outcome, { code: number }>): ParsedTransaction {
  const signatures = outcome.kids.map((kid) => {
    const { did, keyName } = parseKid(kid);
    return { kid, did, keyName, signingInput: CHECKED, signature: CHECKED };
  });
  const sender = (signatures[0] as (typeof signatures)[number]).did;
  return { bytes, hash, chain: outcome.chain, payload: outcome.payload, signatures, sender };
}

/** Parses and verifies on other threads, in batches: singly, the messages between threads cost a third of the speed. */
export class Verifier {
  readonly #workers: WorkerState[] = [];
  readonly #resolveKey: ResolveKey;
  readonly #meter: Meter | undefined;
  #queue: Waiting[] = [];
  #nextBatch = 0;
  #isScheduled = false;
  #sentMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #failure: SalusError | undefined;

  constructor(workers: number, resolveKey: ResolveKey, meter?: Meter) {
    this.#resolveKey = resolveKey;
    this.#meter = meter;
    for (let index = 0; index < workers; index += 1) this.#start();
  }

  /** `done` is called once, never before this returns. `bytes` must not change until then. */
  verify(bytes: Uint8Array, done: VerifyDone): void {
    this.#queue.push({ bytes, done });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#fail(ledgerError('closed'));
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
  }

  #start(): void {
    const worker = new Worker(new URL('./verify.worker.ts', import.meta.url));
    const state: WorkerState = { worker, batches: new Map() };
    worker.on('message', (message: FromWorker) => this.#receive(state, message));
    worker.on('error', (cause) => this.#fail(ledgerError('degraded', 'a verifier ended', { cause })));
    this.#workers.push(state);
  }

  #fail(failure: SalusError): void {
    this.#failure ??= failure;
    const sent = this.#workers.flatMap(({ batches }) => [...batches.values()].flatMap(({ waiting }) => waiting));
    const waiting = [...sent, ...this.#queue];
    for (const { batches } of this.#workers) batches.clear();
    this.#queue = [];
    for (const { done } of waiting) done(this.#failure);
  }

  #dispatch(): void {
    if (this.#failure) {
      this.#fail(this.#failure);
      return;
    }
    while (this.#queue.length > 0) {
      const state = this.#freest();
      if (state.batches.size >= verifyBatchesPerWorker || !this.#isWorthSending(state)) return;
      const idle = this.#workers.filter(({ batches }) => batches.size === 0).length;
      const share = Math.max(verifyBatchTransactions, Math.ceil(this.#queue.length / Math.max(1, idle)));
      this.#send(state, this.#queue.splice(0, Math.min(verifyBatchTransactionsMax, share)));
    }
  }

  /**
   * A busy worker gets full batches only. An idle one takes what is there, but under load what comes within a moment goes
   * together: waking a worker for each transaction costs as much as checking one.
   */
  #isWorthSending({ batches }: WorkerState): boolean {
    if (this.#queue.length >= verifyBatchTransactions) return true;
    if (batches.size > 0) return false;
    const sinceMs = performance.now() - this.#sentMs;
    if (sinceMs >= verifyGatherMs) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#dispatch();
    }, verifyGatherMs - sinceMs);
    return false;
  }

  #freest(): WorkerState {
    return this.#workers.reduce((best, state) => (state.batches.size < best.batches.size ? state : best));
  }

  #send(state: WorkerState, waiting: Waiting[]): void {
    const lengths = Uint32Array.from(waiting, ({ bytes }) => bytes.length);
    const joined = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const { bytes } of waiting) {
      joined.set(bytes, at);
      at += bytes.length;
    }
    this.#sentMs = performance.now();
    const batch = this.#nextBatch;
    this.#nextBatch += 1;
    state.batches.set(batch, { waiting, sentMs: this.#sentMs });
    const message: ToWorker = { kind: 'verify', batch, bytes: joined.buffer, lengths };
    state.worker.postMessage(message, [joined.buffer]);
  }

  #receive(state: WorkerState, message: FromWorker): void {
    if (message.kind === 'keys') {
      const keys = message.wanted.map(({ kid, payload }) => this.#resolveKey(kid, payload));
      state.worker.postMessage({ kind: 'keys', batch: message.batch, keys } satisfies ToWorker);
      return;
    }
    const batch = state.batches.get(message.batch);
    state.batches.delete(message.batch);
    this.#dispatch();
    if (!batch) return;
    this.#meter?.time('verify', batch.sentMs);
    this.#finish(batch.waiting, message);
  }

  #finish(waiting: Waiting[], answer: VerifyAnswer): void {
    const hashes = Buffer.from(answer.hashes);
    const outcomes = JSON.parse(answer.outcomes) as Outcome[];
    for (const [index, { bytes, done }] of waiting.entries()) {
      const outcome = outcomes[index] as Outcome;
      if ('code' in outcome) {
        done(new SalusError(outcome.code, outcome.log));
        continue;
      }
      const hash = hashes.subarray(index * hashBytes, (index + 1) * hashBytes);
      const { keys: keysUsed, isLasting } = outcome;
      done({ tx: parsedOf(bytes, hash, outcome), keysUsed, hash: hash.toString('hex'), isLasting });
    }
  }
}
