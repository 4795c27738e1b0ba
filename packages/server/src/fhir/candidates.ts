import { fold, isPatientType, type Search, searchParametersOf } from '@salus/standards';
import type { Asked } from '../gate/gate.ts';
import { RuleFault } from '../http/problems.ts';
import type { KnownPatient } from '../records/patient-directory.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { isSharedType } from '../records/shared-types.ts';
import { Turn } from '../records/turn.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, ownPatientOf } from './exchange.ts';
import { mayMatch } from './prefilter.ts';

/** Parameters that name the patient whom a record is about. */
const patientParameters: ReadonlySet<string> = new Set(['patient', 'subject', 'beneficiary', 'individual']);
const nameParameters: ReadonlySet<string> = new Set(['name', 'family', 'given']);

function needsPatient(): RuleFault {
  return new RuleFault(FhirErrorCodes.searchNeedsPatient);
}

/** Ids of the patients that the search names; with a patient's own token, that patient. */
function patientIds(search: Search, own: string | undefined): string[] {
  const named = search.criteria.filter(({ parameter }) => patientParameters.has(parameter.name));
  const ids = named.flatMap(({ alternatives }) =>
    alternatives.flatMap((one) =>
      one.kind === 'reference' && (one.type ?? 'Patient') === 'Patient' && one.id !== undefined ? [one.id] : [],
    ),
  );
  if (named.length > 0) return [...new Set(ids)];
  if (own === undefined) throw needsPatient();
  return [own];
}

function mayBe(patient: KnownPatient, search: Search): boolean {
  return search.criteria.every(({ parameter: { name }, modifier, alternatives }) => {
    if (modifier === 'missing' || modifier === 'not') return true;
    if (nameParameters.has(name)) {
      return alternatives.some(
        (one) => one.kind === 'string' && patient.names.some((text) => fold(text).includes(fold(one.text))),
      );
    }
    if (name === '_id') return alternatives.some((one) => one.kind === 'token' && one.code === patient.id);
    if (name !== 'identifier') return true;
    return alternatives.some(
      (one) =>
        one.kind === 'token' &&
        patient.identifiers.some(
          ({ system, value }) =>
            (one.system === undefined || one.system === system) &&
            (one.code === undefined || one.code.toLowerCase() === value.toLowerCase()),
        ),
    );
  });
}

/** Patients by what the directory knows; the matcher decides afterwards on what was released. */
async function patientCandidates({ records }: Exchange, search: Search, own: string | undefined) {
  const names = new Set(search.criteria.map(({ parameter }) => parameter.name));
  const isSelective = ['_id', 'identifier', 'birthdate', ...nameParameters].some((name) => names.has(name));
  if (own !== undefined) return [own];
  if (!isSelective) throw needsPatient();
  const turn = new Turn();
  const found: string[] = [];
  for (const patient of records.patients.all()) {
    if (mayBe(patient, search)) found.push(patient.id);
    await turn.yieldWhenLong();
  }
  return found;
}

/** How the gate calls what a search is about, where nothing of it is here. */
export function askedOf(exchange: Exchange, search: Search): Asked {
  const { type, criteria } = search;
  const others = criteria.filter(({ parameter }) => !patientParameters.has(parameter.name));
  const isNamed = type !== 'Patient' && (others.length < criteria.length || ownPatientOf(exchange) !== undefined);
  if (!isNamed) return { record: `Patient/${JSON.stringify(criteria.map(({ alternatives }) => alternatives))}` };
  const patient = patientIds(search, ownPatientOf(exchange)).join();
  return { patient, type, where: (stored) => mayMatch(stored, { ...search, criteria: others }) };
}

/** Everything stored that a search could be about, before consent and matching. */
export async function candidatesOf(exchange: Exchange, search: Search): Promise<StoredResource[]> {
  const { resources } = exchange.records;
  const { type } = search;
  const own = ownPatientOf(exchange);
  if (type === 'Patient') {
    const ids = await patientCandidates(exchange, search, own);
    return await resources.findAll(ids.map((id) => `Patient/${id}`));
  }
  if (isSharedType(type) && !isPatientType(type) && searchParametersOf(type) !== undefined)
    return await resources.shared(type);
  const turn = new Turn();
  const found: StoredResource[] = [];
  for (const id of patientIds(search, own)) {
    found.push(...(await resources.ofPatient(id, type)));
    await turn.yieldWhenLong();
  }
  return found;
}
