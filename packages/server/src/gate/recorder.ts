import { type access, governance, type IterableReader } from '@salus/contracts';
import {
  commit,
  fromBase64url,
  type Message,
  parseTransaction,
  SalusError,
  toBase64url,
  utf8,
  utf8Text,
} from '@salus/protocol';
import type { LogHead, SyncedLog } from '@salus/vault';
import { isOutage, outage } from '../access/outage.ts';
import { DurableCursor } from '../events/cursors.ts';
import { RuleFault } from '../http/problems.ts';
import type { CommittedResult, LedgerAccess } from '../node/ledger-access.ts';
import type { Organization } from '../orgs/organization.ts';
import type { AccountingIndex } from './accounting-index.ts';
import type { LoggedDisclosure } from './disclosure.ts';
import type { Recorder } from './gate.ts';
import type { Made } from './made.ts';

/** How soon what the synced log holds is on the ledger (architecture.md: within 2 s). */
const anchorDelayMs = 500;
const anchorRetryMs = 1_000;
const releasesPerTransactionMax = 60;
const entriesPerRoundMax = 2_000;
/**
 * A batch that was signed before an outage says that it is not late: it must run out soon, and be signed anew as late.
 */
const anchorValidForMs = 20_000;
const lateReason = 'the ledger could not commit when this happened';

/** A batch that was signed: after a crash the same bytes are submitted again, so that nothing is counted twice. */
interface Signed {
  transaction: string;
  head: LogHead;
}

interface RecorderParts {
  organization: Organization;
  ledger: LedgerAccess;
  reader: IterableReader;
  log: SyncedLog;
  index: AccountingIndex;
  clockMs(): number;
  onError(error: unknown): void;
}

function basisOf({ disclosure }: LoggedDisclosure, consumes: string[]): access.ReleaseBasis {
  const { kind, id } = disclosure.basis ?? { kind: 'rule', id: '' };
  switch (kind) {
    case 'directive':
      return { kind, directives: consumes.length > 0 ? consumes : [id] };
    case 'request':
      return { kind, request: id };
    case 'breakGlass':
      return { kind, glass: id };
    case 'authority':
      return { kind, authority: id };
    case 'subject':
      return { kind };
    default:
      return { kind: 'rule', ruleSet: id.split('#')[0] ?? '' };
  }
}

/** Writes disclosures onto the ledger: releases before the data leaves, routine accesses in batches behind them. */
export class LedgerRecorder implements Recorder {
  readonly #parts: RecorderParts;
  readonly #cursor: DurableCursor;
  #timer: NodeJS.Timeout | undefined;
  /** Rounds come one after the other: two at once would put the same accesses onto the ledger twice. */
  #tail: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.#cursor = new DurableCursor(parts.organization.store, 'access-anchoring');
  }

  async release(disclosures: readonly Made[]): Promise<boolean> {
    for (let from = 0; from < disclosures.length; from += releasesPerTransactionMax) {
      const part = disclosures.slice(from, from + releasesPerTransactionMax);
      const messages: Message[] = part.map(({ logged, consumes }) => ({
        type: 'access/release',
        release: logged.disclosure.id,
        patient: logged.disclosure.patient,
        basis: basisOf(logged, consumes) as Message[string],
        commitment: logged.commitment,
      }));
      const committed = await this.#execute(messages);
      if (committed === undefined) return false;
      for (const { logged } of part) this.#parts.index.placed(logged.disclosure.id, committed.hash);
    }
    return true;
  }

  /** Undefined where a rule refuses: the basis was gone when the block came. */
  async #execute(messages: Message[]): Promise<CommittedResult | undefined> {
    try {
      return await this.#parts.organization.execute(messages);
    } catch (error) {
      if (error instanceof RuleFault && !isOutage(error)) return undefined;
      throw isOutage(error) ? outage() : error;
    }
  }

  wake(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#start(), anchorDelayMs);
    this.#timer.unref();
  }

  #start(): void {
    this.#timer = undefined;
    this.#round().catch((error) => {
      this.#parts.onError(error);
      if (!this.#closed) setTimeout(() => this.wake(), anchorRetryMs).unref();
    });
  }

  #round(): Promise<void> {
    const done = this.#tail.then(() => (this.#closed ? undefined : this.#work()));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #work(): Promise<void> {
    await this.#finishSigned();
    for (;;) {
      const batch = await this.#parts.log.pending(entriesPerRoundMax);
      if (batch === undefined) return;
      const logged = batch.entries.map(({ bytes, timeMs, sequence }) => {
        const entry: LoggedDisclosure = JSON.parse(utf8Text(bytes));
        return { entry, timeMs, sequence };
      });
      const routine = logged.filter(({ entry }) => entry.path === 'batch');
      const hash = routine.length > 0 ? await this.#anchor(routine, batch.head) : undefined;
      await this.#parts.index.add(logged.map(({ entry, sequence }) => ({ entry, sequence, hash })));
      await this.#parts.log.markAnchored(batch.head);
      await this.#forget();
    }
  }

  async #anchor(routine: { entry: LoggedDisclosure; timeMs: number }[], head: LogHead): Promise<string> {
    const { organization } = this.#parts;
    const bytes = await organization.sign([this.#message(routine)], { validForMs: anchorValidForMs });
    const signed: Signed = { transaction: toBase64url(bytes), head };
    await organization.store.commit((tx) => this.#cursor.write(tx, JSON.stringify(signed)));
    return await this.#submit(bytes);
  }

  #message(routine: { entry: LoggedDisclosure; timeMs: number }[]): Message {
    const { reader, ledger, clockMs } = this.#parts;
    const lateAfterMs = governance.parameter(reader, 'anchorDelayMsMax');
    const oldestMs = Math.min(...routine.map(({ timeMs }) => timeMs));
    const nowMs = Math.max(clockMs(), ledger.head().timeMs);
    const pairs = routine.map(({ entry }): [string, string] => [entry.disclosure.patient, entry.commitment]);
    if (nowMs - oldestMs <= lateAfterMs) return { type: 'access/anchorBatch', entries: pairs };
    return {
      type: 'access/lateAnchor',
      // What happened cannot lie after the block that says so, also where this machine's clock runs a little ahead.
      entries: routine.map(({ entry, timeMs }) => [
        entry.disclosure.patient,
        entry.commitment,
        Math.min(timeMs, Math.max(ledger.head().timeMs, clockMs() - lateAfterMs)),
      ]),
      reason: commit(utf8(lateReason)).commitment,
    };
  }

  async #submit(bytes: Uint8Array): Promise<string> {
    const committed = await this.#parts.ledger.submit(bytes);
    if (committed.code !== 0) throw new RuleFault(committed.code, { detail: committed.log });
    return committed.hash;
  }

  /** After a crash: what was signed either stands on the ledger, or is submitted again as it was. */
  async #finishSigned(): Promise<void> {
    const text = await this.#cursor.read();
    if (text === undefined || text === '') return;
    const { transaction, head }: Signed = JSON.parse(text);
    const { ledger, log, index } = this.#parts;
    if (head.sequence <= log.anchored().sequence) return await this.#forget();
    const bytes = fromBase64url(transaction);
    const hash = Buffer.from(parseTransaction(bytes).hash).toString('hex');
    const known = await ledger.transaction(hash);
    const isAnchored = known === undefined ? await this.#submitAgain(bytes) : known.code === 0;
    if (!isAnchored) return await this.#forget();
    const batch = await log.pending(entriesPerRoundMax);
    const entries = (batch?.entries ?? []).filter(({ sequence }) => sequence <= head.sequence);
    await index.add(
      entries.map(({ bytes: text, sequence }) => ({ entry: JSON.parse(utf8Text(text)), sequence, hash })),
    );
    await log.markAnchored(head);
    await this.#forget();
  }

  /** False where it can never be taken any more; throws while nobody knows. */
  async #submitAgain(bytes: Uint8Array): Promise<boolean> {
    if (parseTransaction(bytes).payload.validUntil <= this.#parts.ledger.head().timeMs) return false;
    try {
      await this.#submit(bytes);
      return true;
    } catch (error) {
      if (isOutage(error)) throw error;
      if (error instanceof SalusError || error instanceof RuleFault) return false;
      throw error;
    }
  }

  async #forget(): Promise<void> {
    await this.#parts.organization.store.commit((tx) => this.#cursor.write(tx, ''));
  }

  /** Resolves when everything logged so far is anchored. */
  async drain(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#round();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#closed = true;
    await this.#tail;
  }
}
