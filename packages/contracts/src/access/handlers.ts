import type { Did, JsonValue } from '@salus/protocol';
import { directive as directiveOf } from '../consent/queries.ts';
import { parameter, ruleSet } from '../governance/queries.ts';
import {
  authority as authorityOf,
  custodianOf,
  isActive,
  isActiveOrganisation,
  isAuthorityActive,
  mayActFor,
  patient as patientOf,
  practitioner,
} from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { accessErrors } from './errors.ts';
import type { Decide, Release, ReleaseBasis, Request } from './messages.ts';
import { isGlassOpen, requestStatusOf } from './queries.ts';
import {
  account,
  getGlass,
  getRelease,
  getRequest,
  type PendingList,
  pendingKey,
  type RequestEntry,
  releaseKey,
  requestKey,
} from './state.ts';

/** The active organisation that signs, or whose active practitioner does. */
function signingOrganisation(state: ContractState, sender: Did): Did {
  const organisation = practitioner(state, sender)?.registeredBy ?? sender;
  check(isActive(state, sender) && isActiveOrganisation(state, organisation), accessErrors.organisationNeeded);
  return organisation;
}

/** Whether somebody of this name is a patient is not looked at: a request about nobody waits and times out alike. */
export function request(state: ContractState, message: Request, context: TransactionContext): JsonValue {
  const { request: id, custodian, patient, commitment } = message;
  const { sender, blockTimeMs: nowMs } = context;
  const requester = signingOrganisation(state, sender);
  check(isActiveOrganisation(state, custodian), accessErrors.custodianUnknown);
  check(getRequest(state, id) === undefined, accessErrors.requestExists);
  const timeoutMs = message.timeoutMs ?? parameter(state, 'requestTimeoutMs');
  check(timeoutMs <= parameter(state, 'requestTimeoutMsMax'), accessErrors.timeoutTooLong);
  const expiresMs = nowMs + timeoutMs;
  const waiting = (state.get<PendingList>(pendingKey(requester, patient)) ?? []).filter(([, endMs]) => nowMs < endMs);
  check(waiting.length < parameter(state, 'requestsPendingMax'), accessErrors.requestsTooMany);
  state.put(pendingKey(requester, patient), [...waiting, [id, expiresMs]]);
  const entry: RequestEntry = { requester, by: sender, custodian, patient, commitment, openedMs: nowMs, expiresMs };
  state.put(requestKey(id), entry);
  account(state, custodian, patient, { kind: 'request', id });
  state.emit('Requested', { request: id, requester, custodian, patient });
  return { expiresMs };
}

function checkDecision(state: ContractState, message: Decide, entry: RequestEntry, nowMs: number): void {
  const { decision, untilMs, directive } = message;
  const latest = nowMs + parameter(state, 'releaseWindowMsMax');
  const fits = decision === 'permit' ? untilMs > nowMs && untilMs <= latest : untilMs === 0;
  check(fits, accessErrors.decisionUnfit);
  const known = directive === undefined || directiveOf(state, directive)?.patient === entry.patient;
  check(known, accessErrors.directiveUnknown);
}

export function decide(state: ContractState, message: Decide, context: TransactionContext): void {
  const { request: id, decision, untilMs, commitment, directive, hosted, authority } = message;
  const { sender, blockTimeMs: nowMs } = context;
  const entry = getRequest(state, id);
  if (!entry) refuse(accessErrors.requestUnknown);
  const { patient, custodian, requester } = entry;
  const acts =
    authority === undefined
      ? sender === patient && isActive(state, patient)
      : mayActFor(state, sender, patient, authority, nowMs);
  check(acts && custodianOf(state, patient) === custodian, accessErrors.notThePatient);
  check(entry.decision === undefined, accessErrors.requestDecided);
  check(requestStatusOf(entry, nowMs) === 'pending', accessErrors.requestTimedOut);
  checkDecision(state, message, entry, nowMs);
  const decided: RequestEntry = {
    ...entry,
    decision,
    decidedMs: nowMs,
    decidedBy: sender,
    hosted,
    untilMs,
    decisionCommitment: commitment,
    ...(authority !== undefined && { decidedUnder: authority }),
    ...(directive !== undefined && { directive }),
  };
  state.put(requestKey(id), decided);
  const waiting = (state.get<PendingList>(pendingKey(requester, patient)) ?? []).filter(([other]) => other !== id);
  state.put(pendingKey(requester, patient), waiting);
  account(state, custodian, patient, { kind: 'decide', id });
  state.emit('Decided', { request: id, decision, requester, custodian, patient });
}

function checkRequestBasis(state: ContractState, id: string, message: Release, context: TransactionContext): void {
  const entry = getRequest(state, id);
  if (!entry || entry.custodian !== context.sender || entry.patient !== message.patient) {
    refuse(accessErrors.requestUnknown);
  }
  const status = requestStatusOf(entry, context.blockTimeMs);
  check(status !== 'expired', accessErrors.permitExpired);
  check(status === 'permitted', accessErrors.requestNotPermitted);
}

function checkGlassBasis(state: ContractState, id: string, message: Release, context: TransactionContext): void {
  const entry = getGlass(state, id);
  if (!entry || entry.custodian !== context.sender || entry.patient !== message.patient) {
    refuse(accessErrors.glassUnknown);
  }
  check(isGlassOpen(entry, context.blockTimeMs), accessErrors.glassNotOpen);
}

/** Refuses unless the basis holds at this block; counted directives lose a use. */
function takeBasis(
  state: ContractState,
  basis: ReleaseBasis,
  message: Release,
  context: TransactionContext,
): JsonValue {
  const { patient } = message;
  switch (basis.kind) {
    case 'request':
      checkRequestBasis(state, basis.request, message, context);
      return [];
    case 'directive':
      return basis.directives.map((id) => state.call('consent', 'use', [patient, id]) as number);
    case 'breakGlass':
      checkGlassBasis(state, basis.glass, message, context);
      return [];
    case 'rule':
      check(ruleSet(state, basis.ruleSet), accessErrors.ruleSetUnknown);
      return [];
    case 'authority': {
      const held = authorityOf(state, patient, basis.authority);
      check(held && isAuthorityActive(held, context.blockTimeMs), accessErrors.notThePatient);
      const ended = held.basis === 'patient' && patientOf(state, patient)?.status === 'deceased';
      check(!ended, accessErrors.notThePatient);
      return [];
    }
    case 'subject':
      check(isActive(state, patient), accessErrors.notThePatient);
      return [];
  }
}

function basisText(basis: ReleaseBasis): string {
  switch (basis.kind) {
    case 'request':
      return `request:${basis.request}`;
    case 'directive':
      return `directive:${basis.directives.join(',')}`;
    case 'breakGlass':
      return `breakGlass:${basis.glass}`;
    case 'rule':
      return `rule:${basis.ruleSet}`;
    case 'authority':
      return `authority:${basis.authority}`;
    case 'subject':
      return 'subject';
  }
}

export function release(state: ContractState, message: Release, context: TransactionContext): JsonValue {
  const { release: id, patient, basis, commitment } = message;
  const { sender: custodian, blockTimeMs: timeMs, height } = context;
  check(isActiveOrganisation(state, custodian), accessErrors.organisationNeeded);
  check(custodianOf(state, patient) === custodian, accessErrors.notYourPatient);
  check(getRelease(state, id) === undefined, accessErrors.releaseExists);
  const usesLeft = takeBasis(state, basis, message, context);
  state.put(releaseKey(id), { custodian, patient, basis: basisText(basis), commitment, timeMs, height });
  const number = account(state, custodian, patient, { kind: 'release', id });
  state.emit('Released', { release: id, basis: basis.kind, custodian, patient });
  return { number, usesLeft };
}
