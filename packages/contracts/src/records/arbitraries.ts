/** Random messages about two patients' few records, mostly signed by who would sign them. Tests only. */
import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { arbitraryRequest, type RandomRequest } from '../kernel/arbitraries.ts';
import {
  type TestLedger,
  type TestParticipant,
  testDigest,
  testId,
  testMembers,
  testParticipant,
} from '../kernel/test-kit.ts';

const { hospital, clinic } = testMembers();
export const people = {
  hospital,
  clinic,
  ann: testParticipant('random ann'),
  bob: testParticipant('random bob'),
  doctor: testParticipant('random doctor'),
  clerk: testParticipant('random clerk'),
  carer: testParticipant('random carer'),
};
export const everybody: TestParticipant[] = Object.values(people);
const { ann, bob, doctor, clerk } = people;

export const patient = fc.constantFrom(ann.did, bob.did);
export const authority = fc.constantFrom(testId('authority of the carer'), testId('no authority'));
const record = fc.constantFrom('r1', 'r2').map((label) => testId(label));
const version = fc.constantFrom(1, 2, 2, 3);
const digest = fc.constantFrom('x', 'y').map((label) => testDigest(label));

/** A message of a contract with random members; one that is undefined is left out. */
export function messageOf<T extends Record<string, fc.Arbitrary<unknown>>>(
  type: string,
  members: T,
): fc.Arbitrary<JsonValue> {
  return fc.record(members).map((rest) => {
    const present = Object.entries(rest).filter(([, value]) => value !== undefined);
    return Object.fromEntries([['type', type], ...present]) as JsonValue;
  });
}

const content = { commitment: digest, source: fc.option(digest, { nil: undefined }) };
const policy = fc.constantFrom<JsonValue>(
  { kind: 'reviewers', approvers: [doctor.did, clerk.did], needed: 1 },
  { kind: 'authorAndPatient', approvers: [doctor.did, ann.did], needed: 2 },
  { kind: 'careTeam', approvers: [doctor.did, clerk.did, hospital.did], needed: 2 },
  { kind: 'careTeam', approvers: [doctor.did, clerk.did, hospital.did], needed: 3 },
);
const ballot = { record, version, authority: fc.option(authority, { nil: undefined, freq: 1 }) };
const entries = fc.uniqueArray(fc.record({ record, version, patient, commitment: digest }), {
  minLength: 1,
  maxLength: 2,
  selector: (entry) => entry.record,
});

export const arbitraryRecordsMessage: fc.Arbitrary<JsonValue> = fc.oneof(
  { arbitrary: messageOf('records/anchor', { entries }), weight: 5 },
  messageOf('records/setPolicy', { record, policy }),
  { arbitrary: messageOf('records/propose', { record, version, ...content }), weight: 6 },
  { arbitrary: messageOf('records/validate', ballot), weight: 8 },
  { arbitrary: messageOf('records/reject', { ...ballot, reason: digest }), weight: 4 },
  messageOf('records/dispute', { ...ballot, statement: digest }),
  messageOf('records/annotate', { record, commitment: digest }),
  messageOf('records/restrict', { record, restricted: fc.boolean(), reason: digest }),
  messageOf('records/erase', { records: fc.uniqueArray(record, { minLength: 1, maxLength: 2 }), certificate: digest }),
);

const ofCustodian = /anchor|setPolicy|restrict|erase/;

/** Who would sign a message when all goes well. */
function likelySigners(message: JsonValue): TestParticipant[] {
  return ofCustodian.test((message as { type: string }).type) ? [hospital] : [doctor, clerk, hospital, ann, bob];
}

export const arbitraryRecordsRequest: fc.Arbitrary<RandomRequest> = fc.oneof(
  {
    arbitrary: arbitraryRecordsMessage.chain((one) =>
      fc.constantFrom(...likelySigners(one)).map((signer) => ({ messages: [one], signers: [signer] })),
    ),
    weight: 5,
  },
  { arbitrary: arbitraryRequest(arbitraryRecordsMessage, everybody), weight: 1 },
);

/** Two patients of the hospital, a licensed doctor, a clerk, a carer who may act for Ann, and a record under a policy. */
export function setRandomScene(ledger: TestLedger): void {
  const { carer } = people;
  for (const { did, keys } of [ann, bob]) {
    ledger.accept([{ type: 'identity/registerPatient', did, keys }], [hospital, { did }]);
  }
  for (const [{ did, keys }, role] of [[doctor, 'doctor'] as const, [clerk, 'clerk'] as const]) {
    ledger.accept([{ type: 'identity/registerPractitioner', did, roles: [role], keys }], [hospital, { did }]);
    const licence = { practitioner: did, profession: role, status: 'active', untilMs: ledger.timeMs + 31_536_000_000 };
    ledger.accept([{ type: 'identity/setLicence', ...licence }], [testMembers().regulator]);
  }
  ledger.accept([{ type: 'identity/registerDelegate', did: carer.did, keys: carer.keys }], [hospital, carer]);
  const stepMs = 30 * 24 * 3_600_000;
  const held = {
    patient: ann.did,
    authority: testId('authority of the carer'),
    holder: carer.did,
    commitment: testDigest('authority'),
    expiresMs: (Math.floor(ledger.timeMs / stepMs) + 2) * stepMs,
  };
  ledger.accept([{ type: 'identity/grantAuthority', ...held }], [ann]);
  const entries = [{ record: testId('r1'), version: 1, patient: ann.did, commitment: testDigest('first') }];
  const majority = { kind: 'careTeam', approvers: [doctor.did, clerk.did, hospital.did], needed: 2 };
  ledger.accept([{ type: 'records/anchor', entries }], [hospital]);
  ledger.accept([{ type: 'records/setPolicy', record: testId('r1'), policy: majority }], [hospital]);
}
