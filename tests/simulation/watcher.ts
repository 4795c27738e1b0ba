import type { CheckResult } from '@salus/contracts';
import { ProtocolErrorCodes } from '@salus/protocol';
import { LedgerErrorCodes } from '../../packages/ledger/src/errors.ts';
import { sha256Hex } from './digest.ts';
import type { Member } from './member.ts';
import { Comparison, type Read } from './model/compare.ts';
import { type Model, type Sent, unfitCode } from './model/model.ts';
import type { Decided, Network, Observer, Outcome } from './network.ts';

/** The clock went on while a signature was being verified. */
const checkMsMax = 3_000;
const busyCodes: readonly number[] = [
  LedgerErrorCodes.diskFull,
  LedgerErrorCodes.degraded,
  LedgerErrorCodes.overloaded,
];

/** Holds what the model says against what the ledger does. */
export class Watcher implements Observer {
  readonly model: Model;
  committedCount = 0;
  readonly acceptedTypes: Record<string, number> = {};
  readonly codes: Record<string, number> = {};
  readonly #network: Network;
  readonly #decode: (stored: Uint8Array) => unknown;
  readonly #sent = new Map<string, Sent>();
  readonly #comparison: Comparison;
  readonly #ids = new Set<string>();
  readonly #ran = new Set<string>();
  #predicted: number[][] = [];

  constructor(model: Model, network: Network, decode: (stored: Uint8Array) => unknown) {
    this.model = model;
    this.#network = network;
    this.#decode = decode;
    this.#comparison = new Comparison(model);
  }

  expect(sent: Sent): void {
    this.#sent.set(sent.hash, sent);
  }

  mayStand(height: number, timeMs: number, txs: readonly Uint8Array[]): boolean {
    return (
      this.model.mayStand(
        txs.map((tx) => this.#sent.get(sha256Hex(tx))),
        timeMs,
        height,
      ) && !this.haveRun(txs)
    );
  }

  haveRun(txs: readonly Uint8Array[]): boolean {
    return txs.some((tx) => this.#ran.has(sha256Hex(tx)));
  }

  decided({ height, timeMs, hashes }: Omit<Decided, 'unfit'>): Set<number> {
    const transactions = hashes.map((hash) => this.#sent.get(hash) as Sent);
    this.#predicted = this.model.advance(transactions, timeMs, height);
    const unfit = this.#predicted.flatMap((reasons, index) => (reasons.includes(unfitCode) ? [index] : []));
    for (const [index, { signatures, id, validUntilMs }] of transactions.entries()) {
      if (unfit.includes(index)) continue;
      const name = `${signatures[0]?.did} ${id} ${Math.floor(validUntilMs / 60_000)}`;
      if (this.#ids.has(name)) this.#network.fail(`an id came twice, in block ${height}`);
      this.#ids.add(name);
      this.#ran.add(hashes[index] as string);
    }
    return new Set(unfit);
  }

  answered({ height, hashes }: Decided, { codes, updates }: Outcome): void {
    for (const [index, code] of codes.entries()) {
      const reasons = this.#predicted[index] ?? [];
      const sent = this.#sent.get(hashes[index] as string);
      this.codes[code] = (this.codes[code] ?? 0) + 1;
      this.committedCount += 1;
      const fits = reasons.length === 0 ? code === 0 : reasons.includes(code);
      if (!fits) {
        const expected = reasons.length === 0 ? '0' : reasons.join(' or ');
        const place = `transaction #${index} of block ${height}`;
        this.#network.fail(`${place} has code ${code}, the model says ${expected}: ${this.describe(sent?.hash ?? '')}`);
      }
      for (const { type } of code === 0 ? (sent?.messages ?? []) : []) {
        this.acceptedTypes[type] = (this.acceptedTypes[type] ?? 0) + 1;
      }
    }
    const expected = this.model.governance.validators.updatesAt(height).sort().join('\n');
    if (expected !== updates)
      this.#network.fail(`block ${height} changes validators to ${updates}, the model to ${expected}`);
  }

  committed({ height }: Decided, member: Member): void {
    const wrong = this.#comparison.ofChanges(this.readOf(member));
    if (wrong.length > 0) this.#network.fail(`after block ${height}: ${wrong.slice(0, 5).join('; ')}`);
  }

  checked(member: Member, hash: string, _tx: Uint8Array, code: CheckResult['code']): void {
    const sent = this.#sent.get(hash);
    if (!sent || member.height !== this.model.height || busyCodes.includes(code)) return;
    const laterMs = Math.max(this.model.timeMs + 1, member.clockMs());
    const earlierMs = Math.max(this.model.timeMs + 1, laterMs - checkMsMax);
    const [later, earlier] = [this.model.unfitReasons(sent, laterMs), this.model.unfitReasons(sent, earlierMs)];
    if (later.join() !== earlier.join()) return;
    // Whoever finds no key, or another one, says so before anything else is looked at.
    const isSignature = code === ProtocolErrorCodes.signatureInvalid || code === 1008;
    const fits = later.length === 0 ? code === 0 : later.includes(code) || (later.includes(0) && isSignature);
    if (fits && (code !== 0 || later.length === 0)) return;
    this.#network.fail(
      `${member.name} checks a transaction with ${code}, the model says ${later.join(' or ') || 0}: ${this.describe(hash)}`,
    );
  }

  describe(hash: string): string {
    const sent = this.#sent.get(hash);
    if (!sent) return 'nobody sent it';
    const signers = sent.signatures.map(({ did, keyName }) => {
      const { status } = this.model.identity.parties.get(did) ?? {};
      return `${did}#${keyName} (${status}, ${JSON.stringify(this.model.identity.key(did, keyName) ?? null)})`;
    });
    return `${JSON.stringify(sent.messages)} signed by ${signers.join(', ')}`;
  }

  /** Everything that the model knows, and how much there is of it. */
  compareAll(member: Member): string[] {
    const state = member.application?.state.durable;
    if (!state) return ['the member is not there'];
    return this.#comparison.ofAll(this.readOf(member), (prefix) => [...state.iterate(prefix)].length);
  }

  readOf(member: Member): Read {
    return (key) => {
      const stored = member.application?.state.durable.get(key);
      return stored && this.#decode(stored);
    };
  }
}
