import { ApiErrorCodes } from '@salus/api';
import type { Did } from '@salus/protocol';
import type { Requester } from '../auth/requester.ts';
import { waitAsForAbsence } from '../fhir/exchange.ts';
import { present, textOfResource } from '../fhir/present.ts';
import type { Question } from '../gate/question.ts';
import { ApiFault } from '../http/problems.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';

export interface Context {
  custodian: string;
  patient: Did;
}

export interface History {
  custodians: { slug: string; hosted: boolean; entries: number }[];
  /** `resource` is its text as the custodian keeps it: decimals keep their precision. */
  entries: { custodian: string; dateMs?: number; resource: string }[];
}

/** What one custodian's gate permits of one patient. */
async function partOf(records: OrganizationRecords, { custodian, patient }: Context, question: Question) {
  const known = records.patients.byDid(patient);
  const candidates = known === undefined ? [] : records.resources.ofPatient(known.id);
  const part: History['entries'] = [];
  const asked = { patient: known?.id ?? patient };
  for await (const { stored, content } of await records.gate.release(question, candidates, asked)) {
    const { periodMs: dateMs } = stored;
    const resource = textOfResource(present(stored, content).resource);
    part.push({ custodian, ...(dateMs !== undefined && { dateMs }), resource });
  }
  return part;
}

/** The answer as JSON text. */
export function historyText({ custodians, entries }: History): string {
  const parts = entries.map(
    ({ resource, ...about }) => `${JSON.stringify(about).slice(0, -1)},"resource":${resource}}`,
  );
  return `{"custodians":${JSON.stringify(custodians)},"entries":[${parts.join(',\n')}]}`;
}

/** Joins the parts of a patient's record that lie at several custodians: one gate, one decision, one entry each. */
export async function historyOver(
  records: ReadonlyMap<string, OrganizationRecords>,
  requester: Requester,
  contexts: readonly Context[],
): Promise<History> {
  if (requester.kind !== 'member') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  const question: Question = {
    requester,
    purpose: requester.purpose ?? 'TREAT',
    action: 'read',
    exit: 'everything',
  };
  const history: History = { custodians: [], entries: [] };
  for (const context of contexts) {
    const custodian = records.get(context.custodian);
    const startMs = performance.now();
    const part = custodian === undefined ? [] : await partOf(custodian, context, question);
    if (part.length === 0) await waitAsForAbsence(startMs);
    history.custodians.push({ slug: context.custodian, hosted: custodian !== undefined, entries: part.length });
    history.entries.push(...part);
  }
  history.entries.sort((a, b) => (b.dateMs ?? 0) - (a.dateMs ?? 0));
  return history;
}
