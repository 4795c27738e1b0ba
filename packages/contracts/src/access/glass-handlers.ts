import type { Did, JsonValue } from '@salus/protocol';
import { activePolicies, parameter } from '../governance/queries.ts';
import { isActive, isActiveOrganisation, isLicensed, practitioner } from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { accessErrors } from './errors.ts';
import type { BreakGlass, Review } from './messages.ts';
import { account, type GlassEntry, getGlass, glassDayKey, glassesPrefix, glassKey } from './state.ts';

const dayMs = 86_400_000;

/** The profession of a practitioner who may break the glass; refuses everybody else. */
function professionOf(state: ContractState, who: Did, nowMs: number): { profession: string; organisation: Did } {
  const person = practitioner(state, who);
  if (!person?.licence || !isLicensed(state, who, nowMs)) refuse(accessErrors.practitionerNotLicensed);
  const { profession } = person.licence;
  const allowed = activePolicies(state, nowMs).some(({ document }) => document.breakGlassRoles.includes(profession));
  check(allowed, accessErrors.roleNotAllowed);
  return { profession, organisation: person.registeredBy };
}

/** Counts one more for the day of block time; whether that is over the limit. */
function countDay(state: ContractState, who: Did, nowMs: number, limit: number): boolean {
  const key = glassDayKey(who, Math.floor(nowMs / dayMs));
  const count = (state.get<number>(key) ?? 0) + 1;
  state.put(key, count);
  return count > limit;
}

/**
 * Over the limit the parameter permits or refuses. A refusal is a recorded result, not an error: an error would leave
 * no alarm behind.
 */
export function breakGlass(state: ContractState, message: BreakGlass, context: TransactionContext): JsonValue {
  const { glass, custodian, patient, practitioner: who, reason, windowMs } = message;
  const { sender, blockTimeMs: nowMs } = context;
  const { profession, organisation } = professionOf(state, who, nowMs);
  check(sender === who || sender === organisation, accessErrors.notYourPractitioner);
  check(isActiveOrganisation(state, custodian), accessErrors.custodianUnknown);
  check(windowMs <= parameter(state, 'breakGlassWindowMsMax'), accessErrors.windowTooLong);
  check(getGlass(state, glass) === undefined, accessErrors.glassExists);
  const personOver = countDay(state, who, nowMs, parameter(state, 'breakGlassPerPractitionerPerDayMax'));
  const organisationOver = countDay(state, organisation, nowMs, parameter(state, 'breakGlassPerOrganisationPerDayMax'));
  const alarm = personOver || organisationOver;
  const refused = alarm && parameter(state, 'breakGlassOverLimitRefused') === 1;
  const untilMs = refused ? nowMs : nowMs + windowMs;
  const entry: GlassEntry = {
    custodian,
    patient,
    practitioner: who,
    organisation,
    profession,
    reason,
    openedMs: nowMs,
    untilMs,
    refused,
    alarm,
    reviewDueMs: nowMs + parameter(state, 'breakGlassReviewMs'),
  };
  state.put(glassKey(glass), entry);
  listAppend(state, glassesPrefix, custodian, glass);
  account(state, custodian, patient, { kind: 'breakGlass', id: glass });
  state.emit('GlassBroken', { glass, custodian, patient, practitioner: who, organisation, untilMs });
  if (alarm) state.emit('GlassAlarm', { glass, custodian, practitioner: who, organisation });
  return { outcome: refused ? 'refused' : 'open', untilMs, alarm };
}

export function review(state: ContractState, message: Review, context: TransactionContext): void {
  const { glass, outcome, commitment } = message;
  const { sender, blockTimeMs: timeMs } = context;
  const entry = getGlass(state, glass);
  if (!entry) refuse(accessErrors.glassUnknown);
  const person = practitioner(state, sender);
  const isOfficer = person?.registeredBy === entry.custodian && person.roles.includes('officer');
  check(isActive(state, sender) && (isOfficer || sender === entry.custodian), accessErrors.reviewerNotAllowed);
  check(sender !== entry.practitioner, accessErrors.reviewerConcerned);
  check(entry.review === undefined, accessErrors.reviewedAlready);
  state.put(glassKey(glass), { ...entry, review: { outcome, commitment, by: sender, timeMs } });
  account(state, entry.custodian, entry.patient, { kind: 'review', id: glass });
  state.emit('GlassReviewed', { glass, outcome, custodian: entry.custodian, patient: entry.patient });
}
