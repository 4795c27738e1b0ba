import type { consent } from '@salus/contracts';
import { type Did, randomBytes, toBase64url } from '@salus/protocol';
import type { StoredResource } from '../records/resource-store.ts';
import { commitDisclosure, type Disclosure, disclosureFormat, type LoggedDisclosure } from './disclosure.ts';
import type { Question } from './question.ts';

/** Entries that one disclosure lists, so that it fits into an entry of the synced log; further ones stand in its parts. */
const recordsPerDisclosureMax = 1_000;

/**
 * Whom an attempt is written down for that met nobody: somebody asked for what is not here. It is the same entry as a
 * refusal, so that neither its cost nor its size tells the two apart.
 */
export const nobody: Did = `did:salus:${'A'.repeat(27)}`;

/** What is written down of one question, about one patient and by one basis. */
export interface Made {
  logged: LoggedDisclosure;
  /** Directives of which the ledger takes a use. */
  consumes: string[];
  /** The rest of a long list; the first disclosure commits to each of them. */
  parts: LoggedDisclosure[];
}

export interface MadeInput {
  question: Question;
  patient: Did;
  custodian: Did;
  requester: Disclosure['requester'];
  group: Group;
  path: LoggedDisclosure['path'];
  timeMs: number;
}

export interface Group {
  entries: StoredResource[];
  decisions: consent.Decision[];
}

export function newDisclosureId(): string {
  return toBase64url(randomBytes(16));
}

function logged(disclosure: Disclosure, path: LoggedDisclosure['path']): LoggedDisclosure {
  return { disclosure, ...commitDisclosure(disclosure), path };
}

/** The disclosure of one group. Of a refusal nothing is listed: it released nothing. */
export function madeOf({ question, patient, custodian, requester, group, path, timeMs }: MadeInput): Made {
  const { entries, decisions } = group;
  const [leading] = decisions;
  const isPermit = leading?.decision === 'permit';
  const records = (isPermit ? entries : []).map(({ record, version }): [string, number] => [record, version]);
  const id = newDisclosureId();
  const base: Omit<Disclosure, 'id' | 'records'> = {
    format: disclosureFormat,
    patient,
    custodian,
    requester,
    purpose: question.purpose,
    action: question.action,
    exit: question.exit,
    outcome: isPermit ? (question.exit === 'write' ? 'written' : 'released') : 'denied',
    reason: leading?.reason ?? 'no-applicable-rule',
    ...(leading?.basis && { basis: leading.basis }),
    obligations: union(decisions, (decision) => decision.obligations),
    flags: union(decisions, (decision) => decision.flags),
    timeMs,
  };
  const parts: LoggedDisclosure[] = [];
  for (let from = recordsPerDisclosureMax; from < records.length; from += recordsPerDisclosureMax) {
    const listed = records.slice(from, from + recordsPerDisclosureMax);
    parts.push(logged({ ...base, id: newDisclosureId(), partOf: id, records: listed }, 'batch'));
  }
  const commitments = parts.map(({ commitment }) => commitment);
  const first: Disclosure = {
    ...base,
    id,
    records: records.slice(0, recordsPerDisclosureMax),
    ...(commitments.length > 0 && { parts: commitments }),
  };
  return { logged: logged(first, path), consumes: consumesOf(decisions), parts };
}

export function consumesOf(decisions: readonly consent.Decision[]): string[] {
  return union(decisions, (decision) => decision.consumes);
}

function union(decisions: readonly consent.Decision[], pick: (decision: consent.Decision) => string[]): string[] {
  return [...new Set(decisions.flatMap(pick))].sort();
}

/** Released entries by what permitted them; all denials of one question are one group. */
export function byBasis(
  entries: readonly StoredResource[],
  decisions: ReadonlyMap<StoredResource, consent.Decision>,
): Iterable<Group> {
  const groups = new Map<string, Group>();
  for (const entry of entries) {
    const decision = decisions.get(entry);
    if (decision === undefined) continue;
    const isPermit = decision.decision === 'permit';
    const name = isPermit ? `${decision.basis?.kind} ${decision.basis?.id} ${decision.consumes.join(' ')}` : 'denied';
    const group = groups.get(name) ?? { entries: [], decisions: [] };
    group.entries.push(entry);
    group.decisions.push(decision);
    groups.set(name, group);
  }
  return groups.values();
}

export function byPatient(entries: readonly StoredResource[]): Map<string | undefined, StoredResource[]> {
  const groups = new Map<string | undefined, StoredResource[]>();
  for (const entry of entries) {
    const group = groups.get(entry.patient);
    if (group === undefined) groups.set(entry.patient, [entry]);
    else group.push(entry);
  }
  return groups;
}
