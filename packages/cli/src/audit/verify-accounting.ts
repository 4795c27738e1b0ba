import { access, countKey, entryKey } from '@salus/contracts';
import {
  type Anchor,
  type CborValue,
  canonicalJson,
  type Did,
  type JsonValue,
  type Message,
  type ReceiptReport,
  SalusError,
  utf8,
  verifyCommitment,
  verifyReceipt,
} from '@salus/protocol';

/** One access as the custodian's node tells it: nothing of it is believed until it is checked. */
export interface ToldEntry {
  disclosure: unknown;
  commitment: string;
  salt: string;
  path: string;
  transaction?: string;
}

export interface ToldAccounting {
  complete: boolean;
  entries: readonly ToldEntry[];
}

/** Where an audit gets what it checks. */
export interface AuditSource {
  readonly custodian: Did;
  readonly anchor: Anchor;
  accounting(patient: Did): Promise<ToldAccounting>;
  receipt(transaction: string): Promise<Uint8Array>;
  proof(stateKey: string): Promise<Uint8Array>;
}

export interface CheckedAccess {
  id: string;
  timeMs: number;
  who: string;
  purpose: string;
  action: string;
  exit: string;
  outcome: string;
  reason: string;
  basis?: unknown;
  records: number;
  path: string;
  transaction?: string;
  /** The commitment fits the disclosure, and is on the ledger. */
  verified: boolean;
}

export interface PatientAudit {
  patient: Did;
  /** Everything that the ledger counts for this patient is here, and every entry is proven. */
  complete: boolean;
  /** What the ledger counts: routine accesses and releases. */
  counted: { routine: number; releases: number };
  accesses: CheckedAccess[];
  problems: string[];
  /** Height up to which the counters speak. */
  height: number;
}

interface Disclosure {
  id: string;
  patient: string;
  custodian: string;
  requester: { organization?: string; person?: string };
  purpose: string;
  action: string;
  exit: string;
  outcome: string;
  reason: string;
  basis?: unknown;
  records: unknown[];
  timeMs: number;
}

function isDisclosure(value: unknown): value is Disclosure {
  if (typeof value !== 'object' || value === null) return false;
  const { id, patient, custodian, requester, purpose, action, exit, outcome, reason, records, timeMs } =
    value as Record<string, unknown>;
  const texts = [id, patient, custodian, purpose, action, exit, outcome, reason];
  return (
    texts.every((text) => typeof text === 'string') &&
    typeof requester === 'object' &&
    requester !== null &&
    Array.isArray(records) &&
    typeof timeMs === 'number'
  );
}

function whoOf({ requester, patient }: Disclosure): string {
  const parts = [requester.person, requester.organization].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join(' of ') : patient;
}

function field(value: CborValue | undefined, name: string): unknown {
  return value instanceof Map
    ? value.get(name)
    : typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)[name]
      : undefined;
}

/** Checks one patient's accounting at one custodian against the ledger, by proofs only. */
export class AccountingAuditor {
  readonly #source: AuditSource;
  readonly #receipts = new Map<string, Promise<ReceiptReport>>();

  constructor(source: AuditSource) {
    this.#source = source;
  }

  async audit(patient: Did): Promise<PatientAudit> {
    const told = await this.#source.accounting(patient);
    const problems: string[] = [];
    const accesses: CheckedAccess[] = [];
    const proven = { routine: new Set<string>(), releases: new Set<string>() };
    for (const entry of told.entries) {
      const checked = await this.#entry(patient, entry, problems);
      if (checked === undefined) continue;
      accesses.push(checked);
      if (!checked.verified || entry.path === 'local') continue;
      if (entry.path === 'ledger') proven.releases.add(checked.id);
      else proven.routine.add(entry.commitment);
    }
    const { counted, releases, height } = await this.#counters(patient, problems);
    if (proven.routine.size !== counted.routine) {
      problems.push(`the ledger counts ${counted.routine} routine accesses, ${proven.routine.size} are accounted for`);
    }
    const missing = releases.filter((id) => !proven.releases.has(id));
    for (const id of missing) problems.push(`release ${id} is on the ledger and not in the accounting`);
    const strange = [...proven.releases].filter((id) => !releases.includes(id));
    for (const id of strange) problems.push(`release ${id} is not in the ledger’s list for this patient`);
    if (!told.complete && problems.length === 0)
      problems.push('the node itself says that its accounting is not complete');
    return { patient, complete: problems.length === 0, counted, accesses, problems, height };
  }

  async #entry(patient: Did, entry: ToldEntry, problems: string[]): Promise<CheckedAccess | undefined> {
    const { disclosure, path, transaction } = entry;
    if (!isDisclosure(disclosure)) {
      problems.push('an entry cannot be read');
      return undefined;
    }
    const found = await this.#problemOf(patient, entry, disclosure);
    if (found !== undefined) problems.push(`access ${disclosure.id}: ${found}`);
    const { id, timeMs, purpose, action, exit, outcome, reason, basis, records } = disclosure;
    return {
      ...{ id, timeMs, who: whoOf(disclosure), purpose, action, exit, outcome, reason },
      ...(basis !== undefined && { basis }),
      ...{ records: records.length, path, ...(transaction !== undefined && { transaction }) },
      verified: found === undefined,
    };
  }

  async #problemOf(patient: Did, entry: ToldEntry, disclosure: Disclosure): Promise<string | undefined> {
    const { custodian } = this.#source;
    if (disclosure.patient !== patient || disclosure.custodian !== custodian) return 'is about somebody else';
    if (!verifyCommitment(entry, utf8(canonicalJson(entry.disclosure as JsonValue)))) {
      return 'was altered: it does not fit its commitment';
    }
    // Nothing was released: a refusal is the custodian's word alone, and an access that claims to be one is a lie.
    if (entry.path === 'local') return disclosure.outcome === 'denied' ? undefined : 'is not on the ledger';
    try {
      return entry.path === 'ledger'
        ? await this.#releaseProblem(patient, entry, disclosure.id)
        : await this.#routineProblem(patient, entry);
    } catch (error) {
      if (error instanceof SalusError) return `its proof is not valid (${error.code})`;
      throw error;
    }
  }

  async #releaseProblem(patient: Did, { commitment, transaction }: ToldEntry, id: string): Promise<string | undefined> {
    const { custodian } = this.#source;
    const { state } = await this.#proof(access.releaseKey(id));
    const expected = [patient, custodian, commitment];
    const stands = ['patient', 'custodian', 'commitment'].map((name) => field(state?.value, name));
    if (stands.join() !== expected.join()) return 'the ledger holds no such release';
    if (transaction === undefined) return undefined;
    const isThere = await this.#inTransaction(
      transaction,
      (message) => message.type === 'access/release' && message.release === id && message.commitment === commitment,
    );
    return isThere ? undefined : 'its transaction does not hold it';
  }

  async #routineProblem(patient: Did, { commitment, transaction }: ToldEntry): Promise<string | undefined> {
    if (transaction === undefined) return 'is not on the ledger';
    const isThere = await this.#inTransaction(transaction, ({ type, entries }) => {
      const isBatch = type === 'access/anchorBatch' || type === 'access/lateAnchor';
      return isBatch && Array.isArray(entries) && entries.some((one) => isPair(one, patient, commitment));
    });
    return isThere ? undefined : 'its transaction does not hold it';
  }

  async #inTransaction(hash: string, holds: (message: Message) => boolean): Promise<boolean> {
    const { transaction, result } = await this.#receipt(hash);
    if (transaction?.hash !== hash || result?.code !== 0) return false;
    return transaction.sender === this.#source.custodian && transaction.payload.messages.some(holds);
  }

  /** A batch is in the receipts of many entries: it is fetched and verified once. */
  #receipt(hash: string): Promise<ReceiptReport> {
    const known = this.#receipts.get(hash);
    if (known !== undefined) return known;
    const report = this.#source.receipt(hash).then((bytes) => verifyReceipt(bytes, this.#source.anchor));
    this.#receipts.set(hash, report);
    return report;
  }

  async #proof(key: string): Promise<ReceiptReport> {
    const report = verifyReceipt(await this.#source.proof(key), this.#source.anchor);
    if (report.state?.key !== key) throw new TypeError('The proof is of another key than was asked for.');
    return report;
  }

  /** The authenticated counters, and every single entry that they count. */
  async #counters(patient: Did, problems: string[]) {
    const { custodian } = this.#source;
    const owner = access.accountingOwner(custodian, patient);
    const routine = await this.#proof(access.routineKey(custodian, patient));
    const count = await this.#proof(countKey(access.entriesPrefix, owner));
    const releases: string[] = [];
    for (let n = 0; n < numberOf(count); n += 1) {
      const { state } = await this.#proof(entryKey(access.entriesPrefix, owner, n));
      if (state?.present !== true) problems.push(`entry ${n} of the ledger’s list is missing`);
      if (field(state?.value, 'kind') === 'release') releases.push(String(field(state?.value, 'id')));
    }
    const counted = { routine: numberOf(routine), releases: releases.length };
    return { counted, releases, height: Math.min(routine.height, count.height) };
  }
}

function isPair(value: unknown, patient: Did, commitment: string): boolean {
  return Array.isArray(value) && value[0] === patient && value[1] === commitment;
}

/** A counter that is not there counts nothing; the proof of absence says so. */
function numberOf({ state }: ReceiptReport): number {
  if (state?.present !== true) return 0;
  return Number(state.value);
}
