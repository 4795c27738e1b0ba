/** Random consent and access messages in the small world of the records' arbitraries. Tests only. */
import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { expiryStepMs } from '../consent/handlers.ts';
import { jurisdictionUsa } from '../governance/packs/usa.ts';
import { ruleSetDigest } from '../governance/rule-sets.ts';
import { arbitraryRequest, type RandomRequest } from '../kernel/arbitraries.ts';
import { type TestParticipant, testDigest, testId, testStartMs } from '../kernel/test-kit.ts';
import { arbitraryRecordsRequest, authority, everybody, messageOf, patient, people } from '../records/arbitraries.ts';

const { hospital, clinic, ann, bob, doctor, clerk, carer } = people;
const ids = (prefix: string, count: number) => fc.integer({ min: 1, max: count }).map((n) => testId(`${prefix}${n}`));
const digest = fc.constant(testDigest('content'));
const directive = ids('directive', 4);
const request = ids('request', 4);
const glass = ids('glass', 5);
const custodian = fc.constantFrom(hospital.did, hospital.did, hospital.did, clinic.did);
const mostlyNone = fc.option(authority, { nil: undefined, freq: 1 });
const expiresMs = fc.constantFrom(0, 1, 2, 2).map((n) => (Math.floor(testStartMs / expiryStepMs) + n) * expiryStepMs);
const untilMs = fc.constantFrom(0, testStartMs + 60_000, testStartMs + 86_400_000);
const basis = fc.oneof<fc.Arbitrary<JsonValue>[]>(
  request.map((id) => ({ kind: 'request', request: id })),
  fc.uniqueArray(directive, { minLength: 1, maxLength: 2 }).map((list) => ({ kind: 'directive', directives: list })),
  glass.map((id) => ({ kind: 'breakGlass', glass: id })),
  fc.constant<JsonValue>({ kind: 'rule', ruleSet: ruleSetDigest(jurisdictionUsa as unknown as JsonValue) }),
  authority.map((id) => ({ kind: 'authority', authority: id })),
  fc.constant<JsonValue>({ kind: 'subject' }),
);
const entries = fc.array(fc.tuple(patient, digest), { minLength: 1, maxLength: 4 });

const byPatient = fc.oneof(
  messageOf('consent/grant', {
    directive,
    patient,
    commitment: digest,
    expiresMs,
    uses: fc.integer({ min: 0, max: 2 }),
    endToken: ids('token', 3),
    hosted: fc.boolean(),
    authority: mostlyNone,
  }),
  messageOf('consent/revoke', {
    patient,
    directives: fc.uniqueArray(directive, { minLength: 1, maxLength: 2 }),
    notice: digest,
    hosted: fc.boolean(),
    authority: mostlyNone,
  }),
  messageOf('access/decide', {
    request,
    decision: fc.constantFrom('permit', 'deny'),
    untilMs,
    commitment: digest,
    directive: fc.option(directive, { nil: undefined, freq: 1 }),
    hosted: fc.boolean(),
    authority: mostlyNone,
  }),
);
const byOrganisation = fc.oneof(
  messageOf('consent/endCondition', { tokens: fc.uniqueArray(ids('token', 3), { minLength: 1, maxLength: 2 }) }),
  messageOf('access/request', { request, custodian, patient, commitment: digest }),
  messageOf('access/release', { release: ids('release', 30), patient, basis, commitment: digest }),
  messageOf('access/anchorBatch', { entries }),
  messageOf('access/lateAnchor', {
    entries: fc.array(fc.tuple(patient, digest, fc.constantFrom(testStartMs, testStartMs + 9e9)), {
      minLength: 1,
      maxLength: 3,
    }),
    reason: digest,
  }),
  messageOf('access/breakGlass', {
    glass,
    custodian,
    patient,
    practitioner: fc.constantFrom(doctor.did, doctor.did, clerk.did),
    reason: digest,
    windowMs: fc.constantFrom(60_000, 3_600_000, 259_200_000),
  }),
  messageOf('access/review', { glass, outcome: fc.constantFrom('justified', 'unjustified'), commitment: digest }),
);

const signedBy = (message: fc.Arbitrary<JsonValue>, ...signers: TestParticipant[]): fc.Arbitrary<RandomRequest> =>
  fc.tuple(message, fc.constantFrom(...signers)).map(([one, signer]) => ({ messages: [one], signers: [signer] }));

export const arbitraryCareRequest: fc.Arbitrary<RandomRequest> = fc.oneof(
  { arbitrary: signedBy(byPatient, ann, ann, bob, carer), weight: 5 },
  { arbitrary: signedBy(byOrganisation, hospital, hospital, hospital, clinic, doctor), weight: 6 },
  { arbitrary: arbitraryRecordsRequest, weight: 2 },
  { arbitrary: arbitraryRequest(fc.oneof(byPatient, byOrganisation), everybody), weight: 1 },
);
