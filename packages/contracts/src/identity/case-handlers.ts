import type { Did, JsonValue } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import { entryKey, listAppend } from '../kernel/lists.ts';
import type { ContractState, EventAttributes, TransactionContext } from '../kernel/types.ts';
import { identityErrors } from './errors.ts';
import type { BindIdentifier, CloseCase, OpenCase } from './messages.ts';
import { isActiveOrganisation, patient } from './queries.ts';
import { type CaseEntry, casePrefix, identifierKey } from './state.ts';

function append(state: ContractState, custodian: Did, entry: CaseEntry): number {
  const n = listAppend(state, casePrefix, custodian, entry);
  const attributes: EventAttributes = { custodian, number: n, kind: entry.kind, by: entry.openedBy };
  for (const [index, did] of entry.patients.entries()) attributes[`patient${index}`] = did;
  state.emit('CaseOpened', attributes);
  return n;
}

/** The custodian of all of them; the case is the custodian's. */
function commonCustodian(state: ContractState, patients: readonly Did[]): Did {
  const custodians = patients.map((did) => patient(state, did)?.registeredBy);
  const [first] = custodians;
  if (first === undefined || custodians.some((custodian) => custodian !== first)) refuse(identityErrors.notAPatient);
  return first;
}

export function openCase(state: ContractState, message: OpenCase, context: TransactionContext): JsonValue {
  const { kind, patients, evidence } = message;
  const { sender } = context;
  const custodian = commonCustodian(state, patients);
  const isOwn = patients.length === 1 && patients[0] === sender;
  check(sender === custodian || isOwn, identityErrors.notResponsible);
  const entry: CaseEntry = { kind, patients, openedBy: sender, openedMs: context.blockTimeMs };
  return { case: append(state, custodian, evidence === undefined ? entry : { ...entry, evidence }) };
}

export function closeCase(state: ContractState, message: CloseCase, context: TransactionContext): void {
  const { number, outcome } = message;
  const { sender } = context;
  const key = entryKey(casePrefix, sender, number);
  const entry = state.get<CaseEntry>(key);
  if (!entry) refuse(identityErrors.caseUnknown);
  check(entry.closedMs === undefined, identityErrors.caseClosed);
  state.put(key, { ...entry, closedMs: context.blockTimeMs, outcome });
  state.emit('CaseClosed', { custodian: sender, number, outcome });
}

export function bindIdentifier(state: ContractState, message: BindIdentifier, context: TransactionContext): JsonValue {
  const { patient: did, tag } = message;
  const { sender } = context;
  check(isActiveOrganisation(state, sender), identityErrors.notAnOrganisation);
  check(patient(state, did)?.registeredBy === sender, identityErrors.notAPatient);
  const key = identifierKey(sender, tag);
  const owner = state.get<Did>(key);
  check(owner !== did, identityErrors.identifierBound);
  if (owner !== undefined) {
    const patients = [owner, did];
    const entry: CaseEntry = { kind: 'duplicateIdentity', patients, openedBy: sender, openedMs: context.blockTimeMs };
    return { bound: false, case: append(state, sender, entry) };
  }
  state.put(key, did);
  state.emit('IdentifierBound', { participant: did, by: sender });
  return { bound: true };
}
