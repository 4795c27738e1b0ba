import { ApiErrorCodes } from '@salus/api';
import type { Did } from '@salus/protocol';
import type { MemberRequester, Requester } from '../auth/requester.ts';
import { waitAsForAbsence } from '../fhir/exchange.ts';
import { present, textOfResource } from '../fhir/present.ts';
import type { Question } from '../gate/question.ts';
import { ApiFault } from '../http/problems.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';

export interface Context {
  custodian: string;
  patient: Did;
}

/** `resource` is its text as the custodian keeps it: decimals keep their precision. */
interface Entry {
  custodian: string;
  dateMs?: number;
  resource: string;
}

export interface History {
  custodians: { slug: string; hosted: boolean; reached?: false; entries: number }[];
  entries: Entry[];
}

/** Custodians whom another node serves. */
export interface Elsewhere {
  /** What that custodian's gate permits; undefined where its node gives no answer. */
  partOf(requester: MemberRequester, context: Context): Promise<Omit<Entry, 'custodian'>[] | undefined>;
}

/** What one custodian's gate permits of one patient. */
export async function partOf(
  records: OrganizationRecords,
  custodian: string,
  patient: Did,
  requester: MemberRequester,
): Promise<Entry[]> {
  const question: Question = {
    requester,
    purpose: requester.purpose ?? 'TREAT',
    action: 'read',
    exit: 'everything',
  };
  const known = records.patients.byDid(patient);
  const candidates = known === undefined ? [] : await records.resources.ofPatient(known.id);
  const part: History['entries'] = [];
  const asked = { patient: known?.id ?? patient };
  for await (const { stored, content } of await records.gate.release(question, candidates, asked)) {
    const { periodMs: dateMs } = stored;
    const resource = textOfResource(present(stored, content).resource);
    part.push({ custodian, ...(dateMs !== undefined && { dateMs }), resource });
  }
  return part;
}

/** Entries as JSON text. */
export function entriesText(entries: readonly Entry[]): string {
  const parts = entries.map(
    ({ resource, ...about }) => `${JSON.stringify(about).slice(0, -1)},"resource":${resource}}`,
  );
  return `[${parts.join(',\n')}]`;
}

/** The answer as JSON text. */
export function historyText({ custodians, entries }: History): string {
  return `{"custodians":${JSON.stringify(custodians)},"entries":${entriesText(entries)}}`;
}

/** Joins the parts of a patient's record that lie at several custodians: one gate, one decision, one entry each. */
export async function historyOver(
  records: ReadonlyMap<string, OrganizationRecords>,
  elsewhere: Elsewhere,
  requester: Requester,
  contexts: readonly Context[],
): Promise<History> {
  if (requester.kind !== 'member') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  const history: History = { custodians: [], entries: [] };
  for (const context of contexts) {
    const { custodian: slug, patient } = context;
    const custodian = records.get(slug);
    const startMs = performance.now();
    const part =
      custodian === undefined
        ? await elsewhere.partOf(requester, context)
        : await partOf(custodian, slug, patient, requester);
    const entries = (part ?? []).map((entry) => ({ ...entry, custodian: slug }));
    if (entries.length === 0) await waitAsForAbsence(startMs);
    const reached = part === undefined && { reached: false as const };
    history.custodians.push({ slug, hosted: custodian !== undefined, ...reached, entries: entries.length });
    history.entries.push(...entries);
  }
  history.entries.sort((a, b) => (b.dateMs ?? 0) - (a.dateMs ?? 0));
  return history;
}
