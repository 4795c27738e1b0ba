/** A governed number: its value where nobody decided otherwise, and the bounds within which it may be set. */
export type ParameterDefinition = { readonly initial: number; readonly min: number; readonly max: number };

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const yearMs = 365 * dayMs;

/** Unit last. A contract reads these through `parameter`; nothing else may stand for them. */
export const parameterDefinitions = {
  /** Break-glass accesses of one practitioner within one day of block time. */
  breakGlassPerPractitionerPerDayMax: { initial: 2, min: 1, max: 1_000 },
  /** Break-glass accesses of one organisation within one day of block time. */
  breakGlassPerOrganisationPerDayMax: { initial: 100, min: 1, max: 100_000 },
  /** What happens over the limit: 0 permits and raises an alarm, 1 refuses and raises an alarm. */
  breakGlassOverLimitRefused: { initial: 0, min: 0, max: 1 },
  breakGlassWindowMsMax: { initial: 4 * hourMs, min: 5 * minuteMs, max: 3 * dayMs },
  /** After this an unreviewed break-glass stands on the regulator's list. */
  breakGlassReviewMs: { initial: 3 * dayMs, min: hourMs, max: 90 * dayMs },
  /** An unanswered request ends so long after it was made, unless it says less. */
  requestTimeoutMs: { initial: 30 * minuteMs, min: minuteMs, max: 30 * dayMs },
  requestTimeoutMsMax: { initial: 7 * dayMs, min: minuteMs, max: 90 * dayMs },
  /** Requests of one organisation to one patient that wait for an answer. */
  requestsPendingMax: { initial: 20, min: 1, max: 1_000 },
  /** How long a permitted request may stay open to use. */
  releaseWindowMsMax: { initial: 30 * dayMs, min: hourMs, max: yearMs },
  /** How far ahead the coarse expiry of a directive may lie. */
  directiveDurationMsMax: { initial: 10 * yearMs, min: dayMs, max: 100 * yearMs },
  directiveUsesMax: { initial: 10_000, min: 1, max: 1_000_000 },
  /** Access entries or record versions in one batch. */
  batchEntriesMax: { initial: 5_000, min: 1, max: 50_000 },
  /** An access that was logged locally is late when it is anchored after this. */
  anchorDelayMsMax: { initial: 10_000, min: 2_000, max: dayMs },
  /** Reviewers that a change policy may name. */
  reviewersMax: { initial: 15, min: 1, max: 100 },
  /** Votes do not leave fewer validators; four survive the fault of one. Genesis may begin with fewer. */
  validatorsMin: { initial: 4, min: 1, max: 100 },
  /** Power of one member's validators: with a third of it or more a member alone could halt the chain. */
  validatorMemberPowerPerMilleMax: { initial: 333, min: 1, max: 1_000 },
  /** A validator key that is older is due for rotation: warnings say so, nothing stops. */
  validatorKeyAgeMsMax: { initial: yearMs, min: 30 * dayMs, max: 10 * yearMs },
  /** How long two members of different classes can suspend a third without a vote. */
  emergencySuspensionMs: { initial: 7 * dayMs, min: hourMs, max: 30 * dayMs },
  /** For so long after it ended nobody can suspend the same member in an emergency again. */
  emergencyPauseMs: { initial: 30 * dayMs, min: dayMs, max: yearMs },
  proposalsOpenPerMemberMax: { initial: 10, min: 1, max: 50 },
  /** Rule sets that a member published and no vote adopted. */
  ruleSetDraftsPerMemberMax: { initial: 32, min: 1, max: 1_000 },
} as const satisfies Record<string, ParameterDefinition>;

export type ParameterName = keyof typeof parameterDefinitions;

export function isParameterName(name: string): name is ParameterName {
  return Object.hasOwn(parameterDefinitions, name);
}
