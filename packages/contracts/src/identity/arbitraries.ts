import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { arbitraryRequest, type RandomRequest } from '../kernel/arbitraries.ts';
import {
  dayMs,
  type TestLedger,
  type TestParticipant,
  testDigest,
  testEncryptionKey,
  testId,
  testKey,
  testMembers,
  testParticipant,
  testStartMs,
} from '../kernel/test-kit.ts';
import { authorityExpiryStepMs } from './authority-handlers.ts';

const { hospital, clinic, regulator } = testMembers();

/** A small world, so that random messages meet each other. */
const world: TestParticipant[] = [
  hospital,
  clinic,
  regulator,
  ...['ann', 'bob', 'doctor', 'thermometer', 'carer', 'new clinic'].map((label) => testParticipant(label)),
];
const ann = world[3] as TestParticipant;
const bob = world[4] as TestParticipant;

const someone = fc.constantFrom(...world);
const did = someone.map((participant) => participant.did);
const patient = fc.constantFrom(ann.did, bob.did);
const keyName = fc.constantFrom('sign', 'encrypt', 'sign-2', 'sign-3');
const timeMs = fc.constantFrom(-1, 0, 1, 29, 31).map((days) => testStartMs + days * dayMs);
const key = fc.oneof(
  fc.tuple(keyName, fc.integer({ min: 0, max: 4 })).map(([name, n]) => testKey(`spare ${n}`, name)),
  fc.tuple(keyName, fc.integer({ min: 0, max: 2 })).map(([name, n]) => testEncryptionKey(`spare ${n}`, name)),
);
const expiresMs = fc.constantFrom(0, 1, 12).map((steps) => {
  return (Math.floor(testStartMs / authorityExpiryStepMs) + steps) * authorityExpiryStepMs;
});
const authority = fc.constantFrom('a', 'b').map((label) => testId(label));
const authorityMembers = {
  patient,
  authority,
  holder: fc.oneof(did, fc.constant(testId('blinded'))),
  commitment: fc.constant(testDigest('content')),
  expiresMs,
};

function of<T extends Record<string, fc.Arbitrary<unknown>>>(type: string, members: T): fc.Arbitrary<JsonValue> {
  return fc.record(members).map((rest) => ({ type: `identity/${type}`, ...rest }) as unknown as JsonValue);
}

const registration = someone.chain(({ did: own, keys }) =>
  fc.constantFrom<JsonValue>(
    { type: 'identity/registerPatient', did: own },
    { type: 'identity/registerPatient', did: own, keys },
    { type: 'identity/bindPatient', patient: own, keys },
    { type: 'identity/registerDelegate', did: own, keys },
    { type: 'identity/registerDevice', did: own, model: 'T-1', keys },
    { type: 'identity/registerPractitioner', did: own, roles: ['doctor'], keys },
    { type: 'identity/registerPractitioner', did: own, roles: ['clerk'] },
    { type: 'identity/registerOrganisation', did: own, name: 'New', slug: 'new', role: 'clinic', endpoint: '', keys },
  ),
);

const message: fc.Arbitrary<JsonValue> = fc.oneof(
  { arbitrary: registration, weight: 6 },
  of('setRoles', { practitioner: did, roles: fc.constantFrom(['nurse'], ['doctor', 'officer']) }),
  of('setLicence', {
    practitioner: did,
    profession: fc.constant('doctor'),
    status: fc.constant('active'),
    untilMs: timeMs,
  }),
  of('setStatus', { participant: did, status: fc.constantFrom('active', 'suspended', 'ended', 'deceased') }),
  of('mergePatients', { survivor: patient, merged: patient }),
  of('unmergePatients', { survivor: patient, merged: patient }),
  of('addKey', { participant: did, key }),
  of('rotateKey', { participant: did, name: keyName, key, oldUntilMs: timeMs }),
  of('rotateKey', { participant: did, name: keyName, key }),
  of('revokeKey', { participant: did, name: keyName, reason: fc.constant('lost') }),
  of('grantAuthority', authorityMembers),
  of('attestAuthority', authorityMembers),
  of('revokeAuthority', { patient, authority }),
  of('bindIdentifier', { patient, tag: fc.constantFrom(testId('tag 1'), testId('tag 2')) }),
  of('openCase', { kind: fc.constant('suspectedTheft'), patients: fc.uniqueArray(patient, { minLength: 1 }) }),
  of('closeCase', { number: fc.integer({ min: 0, max: 2 }), outcome: fc.constant('resolved') }),
);

const byDid = new Map(world.map((participant) => [participant.did as string, participant]));

/** Who would sign a message when all goes well: an organisation, and whom the message is about. */
function likelySigners(message: JsonValue): TestParticipant[] {
  const { type, did: own, patient: subject, participant } = message as Record<string, string>;
  const concerned = byDid.get(own ?? subject ?? participant ?? '');
  if (type === 'identity/registerOrganisation') return concerned ? [regulator, concerned] : [regulator];
  if (type === 'identity/setLicence') return [regulator];
  const isOwnDecision = type === 'identity/grantAuthority' || /Key$/.test(type ?? '');
  if (isOwnDecision && concerned) return [concerned];
  return concerned && concerned !== hospital ? [hospital, concerned] : [hospital];
}

/** Mostly what honest participants send, so that there is state to break; else anything signed by anyone. */
export const arbitraryIdentityRequest: fc.Arbitrary<RandomRequest> = fc.oneof(
  { arbitrary: message.map((one) => ({ messages: [one], signers: likelySigners(one) })), weight: 4 },
  { arbitrary: message.map((one) => ({ messages: [one], signers: likelySigners(one).slice(0, 1) })), weight: 2 },
  { arbitrary: arbitraryRequest(message, world), weight: 1 },
);

/** Ann has a wallet, Bob has none yet, the doctor is employed, the carer is known; the rest is left to chance. */
export function setScene(ledger: TestLedger): void {
  const [, , , , , doctor, , carer] = world as [...TestParticipant[]];
  ledger.accept([{ type: 'identity/registerPatient', did: ann.did, keys: ann.keys }], [hospital, ann]);
  ledger.accept([{ type: 'identity/registerPatient', did: bob.did }], [hospital]);
  const roles = ['doctor', 'clerk'];
  ledger.accept([{ type: 'identity/registerPractitioner', did: doctor!.did, roles, keys: doctor!.keys }], [hospital]);
  ledger.accept([{ type: 'identity/registerDelegate', did: carer!.did, keys: carer!.keys }], [hospital, carer!]);
}
