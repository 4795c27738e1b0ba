import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arbitraryStep, runStep } from '../kernel/arbitraries.ts';
import {
  boundPatient,
  dayMs,
  errorName,
  TestLedger,
  type TestParticipant,
  testDid,
  testDigest,
  testEncryptionKey,
  testId,
  testKernel,
  testKey,
  testMembers,
  testParticipant,
  testPractitioner,
  testStartMs,
} from '../kernel/test-kit.ts';
import { arbitraryIdentityRequest, setScene } from './arbitraries.ts';
import { authorityExpiryStepMs } from './authority-handlers.ts';
import {
  activeKeys,
  authoritiesOf,
  cases,
  currentPatient,
  custodianOf,
  isLicensed,
  keysOf,
  mayActFor,
  organisationBySlug,
  organisationOf,
  patientByIdentifier,
} from './queries.ts';

const { hospital, clinic, payer, regulator } = testMembers();
const stamp = (label: string): JsonValue => ({ type: 'kernel/stamp', digest: testDigest(label) });
const coarse = (days: number) =>
  Math.ceil((testStartMs + days * dayMs) / authorityExpiryStepMs) * authorityExpiryStepMs;

/** What a run of one transaction says: the error's name, or `accepted`. */
function outcome(ledger: TestLedger, messages: JsonValue[], signers: { did: string }[], keyNames = {}): string {
  return errorName(ledger, ledger.run(messages, signers as TestParticipant[], { keyNames }));
}

function grant(patient: TestParticipant, holder: string, id = 'authority', days = 365): JsonValue {
  const { did } = patient;
  const entry = { patient: did, authority: testId(id), holder, commitment: testDigest('content') };
  return { type: 'identity/grantAuthority', ...entry, expiresMs: coarse(days) };
}

describe('R-IDN-1 identity: participants', () => {
  it('registers patients with a wallet, practitioners with roles and a licence, delegates and devices', async () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    const doctor = testPractitioner(ledger, hospital, 'doctor');
    const carer = testParticipant('carer');
    const device = testParticipant('device');
    ledger.accept([{ type: 'identity/registerDelegate', did: carer.did, keys: carer.keys }], [hospital, carer]);
    const register = { type: 'identity/registerDevice', did: device.did, model: 'T-1000', keys: device.keys };
    ledger.accept([register], [hospital, device]);
    for (const signer of [ann, doctor, carer, device]) {
      expect(await ledger.runSigned([stamp('x')], [signer])).toMatchObject({ code: 0, log: '' });
    }
    const reader = ledger.reader();
    expect(isLicensed(reader, doctor.did, ledger.timeMs)).toBe(true);
    expect(isLicensed(reader, doctor.did, ledger.timeMs + 366 * dayMs)).toBe(false);
    expect(custodianOf(reader, ann.did)).toBe(hospital.did);
    expect(organisationOf(reader, doctor.did)).toBe(hospital.did);
    expect(organisationBySlug(reader, 'clinic')).toBe(clinic.did);
    expect(ledger.problems()).toEqual([]);
  });

  it('binds a wallet to a patient whom the custodian registered before, with both signatures', async () => {
    const ledger = new TestLedger();
    const ann = testParticipant('ann', testDid('random'));
    ledger.accept([{ type: 'identity/registerPatient', did: ann.did }], [hospital]);
    const bind = {
      type: 'identity/bindPatient',
      patient: ann.did,
      keys: ann.keys,
      recoveryCommitment: testDigest('r'),
    };
    expect(outcome(ledger, [bind], [hospital])).toBe('ownSignatureNeeded');
    expect(outcome(ledger, [bind], [ann])).toBe('notAnOrganisation');
    expect(outcome(ledger, [bind], [clinic, ann])).toBe('notAPatient');
    expect(await ledger.runSigned([bind], [hospital, ann])).toMatchObject({ code: 0, log: '' });
    expect(await ledger.runSigned([stamp('x')], [ann])).toMatchObject({ code: 0 });
    const thief = testParticipant('thief', ann.did);
    const steal = { ...bind, keys: [testKey('thief', 'sign-9')] };
    expect(outcome(ledger, [steal, stamp('y')], [hospital, thief], { [ann.did]: 'sign-9' })).toBe('signerUnknown');
    expect(outcome(ledger, [steal], [hospital, ann])).toBe('patientBound');
    expect(ledger.problems()).toEqual([]);
  });

  it('does not let a key act that a message carries and does not register', () => {
    const ledger = new TestLedger();
    const ann = testParticipant('ann', testDid('random'));
    ledger.accept([{ type: 'identity/registerPatient', did: ann.did }], [hospital]);
    const bind = { type: 'identity/bindPatient', patient: ann.did, keys: ann.keys };
    expect(outcome(ledger, [stamp('x'), bind], [ann])).toBe('notAnOrganisation');
    expect(ledger.state.has(`kernel/stamp/${ann.did}/${testDigest('x')}`)).toBe(false);
  });

  const newcomer = testParticipant('newcomer');
  const join = {
    type: 'identity/registerOrganisation',
    did: newcomer.did,
    name: 'New Practice',
    slug: 'new-practice',
    role: 'clinic',
    endpoint: 'https://new.test',
    keys: newcomer.keys,
  };
  const registerPatient = { type: 'identity/registerPatient', did: newcomer.did, keys: newcomer.keys };
  const practitioner = { type: 'identity/registerPractitioner', did: testDid('d'), roles: ['doctor'] };
  const refusals: [title: string, error: string, message: JsonValue, signers: TestParticipant[]][] = [
    ['an organisation with a regulator', 'accepted', join, [regulator, newcomer]],
    ['an organisation without regulator', 'regulatorNeeded', join, [hospital, newcomer]],
    ['an organisation without its own signature', 'ownSignatureNeeded', join, [regulator]],
    ['a slug that is taken', 'slugTaken', { ...join, slug: 'hospital' }, [regulator, newcomer]],
    ['a DID that is not of the key', 'didNotOfKey', { ...join, did: testDid('other') }, [regulator]],
    ['an organisation without signing key', 'signKeyNeeded', { ...join, keys: [testEncryptionKey('n')] }, [regulator]],
    ['a DID twice', 'participantExists', { ...join, did: hospital.did }, [regulator]],
    [
      'two keys of one name',
      'sameTwice',
      { ...join, keys: [...newcomer.keys, newcomer.keys[0]!] },
      [regulator, newcomer],
    ],
    [
      'one key under two names',
      'keyTaken',
      { ...join, keys: [...newcomer.keys, testKey('newcomer', 'b')] },
      [regulator, newcomer],
    ],
    ['a key off the curve', 'keyInvalid', offCurve(join), [regulator, newcomer]],
    ['a patient without custodian', 'notAnOrganisation', registerPatient, [newcomer]],
    ['a patient with an organisation', 'accepted', registerPatient, [clinic, newcomer]],
    ['a wallet without its signature', 'ownSignatureNeeded', registerPatient, [clinic]],
    ['a practitioner without keys', 'accepted', practitioner, [hospital]],
    ['a role twice', 'sameTwice', { ...practitioner, roles: ['doctor', 'doctor'] }, [hospital]],
    ['an unknown role', 'messageMalformed', { ...practitioner, roles: ['wizard'] }, [hospital]],
    ['a name of a person', 'messageMalformed', { ...practitioner, name: 'Ann' }, [hospital]],
    ['recovery, which is reserved', 'messageReserved', { type: 'identity/startRecovery' }, [hospital]],
  ];
  it.each(refusals)('%s: %s', (_title, error, message, signers) => {
    const ledger = new TestLedger();
    expect(outcome(ledger, [message], signers)).toBe(error);
    expect(ledger.problems()).toEqual([]);
  });

  it('lets only the organisation change roles and status, only a regulator set licences', () => {
    const ledger = new TestLedger();
    const doctor = testPractitioner(ledger, hospital, 'doctor', { licensed: false });
    const ann = boundPatient(ledger, hospital, 'ann');
    const roles = { type: 'identity/setRoles', practitioner: doctor.did, roles: ['nurse'] };
    const licence = { type: 'identity/setLicence', practitioner: doctor.did, profession: 'doctor', status: 'active' };
    const status = (participant: string, value: string) => ({ type: 'identity/setStatus', participant, status: value });
    expect(outcome(ledger, [roles], [clinic])).toBe('notResponsible');
    expect(outcome(ledger, [{ ...licence, untilMs: ledger.timeMs + dayMs }], [hospital])).toBe('regulatorNeeded');
    expect(outcome(ledger, [{ ...licence, untilMs: ledger.timeMs }], [regulator])).toBe('licenceExpiryPast');
    expect(outcome(ledger, [{ ...licence, untilMs: ledger.timeMs + dayMs }], [regulator])).toBe('accepted');
    expect(outcome(ledger, [roles], [hospital])).toBe('accepted');
    expect(isLicensed(ledger.reader(), doctor.did, ledger.timeMs)).toBe(false);
    expect(outcome(ledger, [status(doctor.did, 'suspended')], [clinic])).toBe('notResponsible');
    expect(outcome(ledger, [status(doctor.did, 'suspended')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [stamp('x')], [doctor])).toBe('signerSuspended');
    expect(outcome(ledger, [status(doctor.did, 'active')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [stamp('x')], [doctor])).toBe('accepted');
    expect(outcome(ledger, [status(doctor.did, 'deceased')], [hospital])).toBe('statusNotAllowed');
    expect(outcome(ledger, [status(hospital.did, 'suspended')], [regulator])).toBe('statusByVote');
    expect(outcome(ledger, [status(ann.did, 'deceased')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [stamp('x')], [ann])).toBe('signerSuspended');
    expect(outcome(ledger, [status(ann.did, 'active')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [status(ann.did, 'ended')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [status(ann.did, 'active')], [hospital])).toBe('statusNotAllowed');
  });

  it('stops the staff of an organisation that is suspended', () => {
    const ledger = new TestLedger();
    ledger.accept([join], [regulator, newcomer]);
    const nurse = testPractitioner(ledger, newcomer, 'nurse', { roles: ['nurse'] });
    expect(isLicensed(ledger.reader(), nurse.did, ledger.timeMs)).toBe(true);
    ledger.accept([{ type: 'identity/setStatus', participant: newcomer.did, status: 'suspended' }], [regulator]);
    expect(outcome(ledger, [stamp('x')], [nurse])).toBe('signerSuspended');
    expect(isLicensed(ledger.reader(), nurse.did, ledger.timeMs)).toBe(false);
  });
});

function offCurve(join: { keys: ReturnType<typeof testKey>[] }): JsonValue {
  const [sign, ...rest] = join.keys;
  const extra = { ...testEncryptionKey('off', 'off'), jwk: { ...sign!.jwk, y: sign!.jwk.x } };
  return { ...join, keys: [sign, ...rest, extra] } as unknown as JsonValue;
}

describe('R-IDN-2 identity: keys', () => {
  const add = (participant: string, key: unknown): JsonValue =>
    ({ type: 'identity/addKey', participant, key }) as JsonValue;
  const revoke = (participant: string, name: string): JsonValue => {
    return { type: 'identity/revokeKey', participant, name, reason: 'stolen' };
  };

  it('judges every signature by the key that is valid at its block', () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    const second = { [ann.did]: 'phone' };
    ledger.accept([add(ann.did, testKey('ann phone', 'phone'))], [ann]);
    expect(outcome(ledger, [stamp('1')], [ann], second)).toBe('accepted');
    const phone = ledger.keysUsed(ledger.transaction([stamp('2')], [ann], { keyNames: second }));
    const late = { tx: ledger.transaction([stamp('2')], [ann], { keyNames: second }), keysUsed: phone };
    const stop = { tx: ledger.transaction([revoke(ann.did, 'phone')], [ann]), keysUsed: [ann.thumbprint] };
    const results = ledger.runBlock([stop, late]);
    expect(results.map((result) => errorName(ledger, result))).toEqual(['accepted', 'signerNotActive']);
    expect(outcome(ledger, [add(ann.did, testKey('other', 'phone'))], [ann])).toBe('keyNameTaken');
    expect(outcome(ledger, [add(ann.did, testKey('ann phone', 'phone-2'))], [ann])).toBe('keyTaken');
    expect(outcome(ledger, [revoke(ann.did, 'phone')], [ann])).toBe('keyNotActive');
    expect(keysOf(ledger.reader(), ann.did).map(({ name }) => name)).toEqual(['sign', 'encrypt', 'phone']);
  });

  it('rotates at once or with an overlap, and lets keys expire by block time', () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    const rotate = (name: string, key: unknown, oldUntilMs?: number) =>
      ({ type: 'identity/rotateKey', participant: ann.did, name, key, ...(oldUntilMs && { oldUntilMs }) }) as JsonValue;
    const until = ledger.timeMs + dayMs;
    expect(outcome(ledger, [rotate('sign', testKey('ann 2', 'sign-2'), until + 30 * dayMs)], [ann])).toBe(
      'overlapTooLong',
    );
    expect(outcome(ledger, [rotate('sign', testEncryptionKey('x', 'x'), until)], [ann])).toBe('keyUnknown');
    expect(outcome(ledger, [rotate('sign', testKey('ann 2', 'sign-2'), until)], [ann])).toBe('accepted');
    expect(outcome(ledger, [stamp('1')], [ann])).toBe('accepted');
    expect(outcome(ledger, [stamp('2')], [ann], { [ann.did]: 'sign-2' })).toBe('accepted');
    ledger.advance(dayMs);
    expect(outcome(ledger, [stamp('3')], [ann])).toBe('signerNotActive');
    const names = { [ann.did]: 'sign-2' };
    expect(outcome(ledger, [rotate('sign-2', testKey('ann 3', 'sign-3'))], [ann], names)).toBe('accepted');
    expect(outcome(ledger, [stamp('4')], [ann], names)).toBe('signerNotActive');
    expect(activeKeys(ledger.reader(), ann.did, 'sign', ledger.timeMs).map(({ name }) => name)).toEqual(['sign-3']);
    const short = { ...testKey('ann 4', 'sign-4'), expiresMs: ledger.timeMs + 5_000 };
    expect(
      outcome(ledger, [add(ann.did, { ...short, expiresMs: ledger.timeMs })], [ann], { [ann.did]: 'sign-3' }),
    ).toBe('keyExpiryPast');
    expect(outcome(ledger, [add(ann.did, short)], [ann], { [ann.did]: 'sign-3' })).toBe('accepted');
    ledger.advance(5_000);
    expect(outcome(ledger, [stamp('5')], [ann], { [ann.did]: 'sign-4' })).toBe('signerNotActive');
  });

  it('never lets a custodian touch the keys of a patient; an organisation manages those of its staff', () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    const doctor = testPractitioner(ledger, hospital, 'doctor');
    expect(outcome(ledger, [add(ann.did, testKey('x', 'x'))], [hospital])).toBe('notResponsible');
    expect(outcome(ledger, [revoke(ann.did, 'sign')], [hospital])).toBe('notResponsible');
    expect(outcome(ledger, [revoke(doctor.did, 'sign')], [clinic])).toBe('notResponsible');
    expect(outcome(ledger, [revoke(doctor.did, 'sign')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [add(doctor.did, testKey('card', 'card'))], [hospital])).toBe('accepted');
    expect(outcome(ledger, [stamp('x')], [doctor], { [doctor.did]: 'card' })).toBe('accepted');
    ledger.accept([{ type: 'identity/registerPatient', did: testDid('unbound') }], [hospital]);
    expect(outcome(ledger, [add(testDid('unbound'), testKey('y', 'y'))], [hospital])).toBe('patientNotBound');
  });
});

describe('R-CON-4 identity: who may act for a patient', () => {
  it('grants by the patient, attests by custodian or regulator, and ends by revocation, expiry and death', () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    const carer = boundPatient(ledger, clinic, 'carer');
    const may = (id: string) => mayActFor(ledger.reader(), carer.did, ann.did, testId(id), ledger.timeMs);
    const attest = (id: string): JsonValue =>
      ({ ...(grant(ann, carer.did, id) as object), type: 'identity/attestAuthority' }) as JsonValue;
    const revoke = (id: string): JsonValue => ({
      type: 'identity/revokeAuthority',
      patient: ann.did,
      authority: testId(id),
    });

    expect(outcome(ledger, [grant(ann, carer.did, 'a')], [carer])).toBe('authorityNotYours');
    expect(outcome(ledger, [grant(ann, carer.did, 'a')], [ann])).toBe('accepted');
    expect(outcome(ledger, [grant(ann, carer.did, 'a')], [ann])).toBe('authorityExists');
    expect(outcome(ledger, [attest('b')], [clinic])).toBe('attesterNotAllowed');
    expect(outcome(ledger, [attest('b')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [attest('c')], [regulator])).toBe('accepted');
    expect([may('a'), may('b'), may('c'), may('d')]).toEqual([true, true, true, false]);

    expect(outcome(ledger, [revoke('a')], [payer])).toBe('authorityNotYours');
    expect(outcome(ledger, [revoke('b')], [ann])).toBe('authorityNotYours');
    expect(outcome(ledger, [revoke('d')], [ann])).toBe('authorityUnknown');
    expect(outcome(ledger, [revoke('a')], [ann])).toBe('accepted');
    expect(outcome(ledger, [revoke('a')], [ann])).toBe('authorityEnded');
    expect(outcome(ledger, [revoke('c')], [carer])).toBe('accepted');
    expect([may('a'), may('b'), may('c')]).toEqual([false, true, false]);

    expect(outcome(ledger, [grant(ann, carer.did, 'e')], [ann])).toBe('accepted');
    ledger.accept([{ type: 'identity/setStatus', participant: ann.did, status: 'deceased' }], [hospital]);
    expect([may('b'), may('e')]).toEqual([true, false]);
    ledger.advance(400 * dayMs);
    expect(may('b')).toBe(false);
    expect(authoritiesOf(ledger.reader(), ann.did)).toHaveLength(4);
    expect(ledger.problems()).toEqual([]);
  });

  it('takes blinded holders and refuses ends that tell a date', () => {
    const ledger = new TestLedger();
    const ann = boundPatient(ledger, hospital, 'ann');
    expect(outcome(ledger, [grant(ann, testId('blinded'))], [ann])).toBe('accepted');
    const exact = { ...(grant(ann, testId('blinded'), 'b') as object), expiresMs: coarse(365) + dayMs } as JsonValue;
    expect(outcome(ledger, [exact], [ann])).toBe('authorityExpiry');
    expect(outcome(ledger, [grant(ann, testId('blinded'), 'c', -60)], [ann])).toBe('authorityExpiry');
    expect(outcome(ledger, [grant(ann, testId('blinded'), 'd', 31 * 365)], [ann])).toBe('authorityExpiry');
  });
});

describe('R-IDN-3 identity: doubtful identities', () => {
  it('opens a case instead of binding one identifier to two patients', () => {
    const ledger = new TestLedger();
    const [ann, bob] = [boundPatient(ledger, hospital, 'ann'), boundPatient(ledger, hospital, 'bob')];
    const bind = (patient: TestParticipant, tag = testId('national id')) => {
      return { type: 'identity/bindIdentifier', patient: patient.did, tag };
    };
    expect(ledger.accept([bind(ann)], [hospital]).outputs).toEqual([{ bound: true }]);
    expect(outcome(ledger, [bind(ann)], [hospital])).toBe('identifierBound');
    expect(outcome(ledger, [bind(bob)], [clinic])).toBe('notAPatient');
    const second = ledger.accept([bind(bob)], [hospital]);
    expect(second.outputs).toEqual([{ bound: false, case: 0 }]);
    expect(second.events.map(({ type }) => type)).toEqual(['identity/CaseOpened']);
    expect(Object.values(second.events[0]!.attributes)).toEqual(
      expect.arrayContaining([ann.did, bob.did, hospital.did]),
    );
    expect(patientByIdentifier(ledger.reader(), hospital.did, testId('national id'))).toBe(ann.did);
    const close = { type: 'identity/closeCase', number: 0, outcome: 'typing-error' };
    expect(outcome(ledger, [close], [clinic])).toBe('caseUnknown');
    expect(outcome(ledger, [close], [hospital])).toBe('accepted');
    expect(outcome(ledger, [close], [hospital])).toBe('caseClosed');
    expect(cases(ledger.reader(), hospital.did)[0]).toMatchObject({ outcome: 'typing-error' });
  });

  it('lets custodian and patient open a case, and nobody else', () => {
    const ledger = new TestLedger();
    const [ann, bob] = [boundPatient(ledger, hospital, 'ann'), boundPatient(ledger, hospital, 'bob')];
    const open = (...patients: TestParticipant[]) =>
      ({ type: 'identity/openCase', kind: 'suspectedTheft', patients: patients.map(({ did }) => did) }) as JsonValue;
    expect(outcome(ledger, [open(ann)], [clinic])).toBe('notResponsible');
    expect(outcome(ledger, [open(ann, bob)], [ann])).toBe('notResponsible');
    expect(outcome(ledger, [open(ann, ann)], [hospital])).toBe('sameTwice');
    expect(outcome(ledger, [open(ann)], [ann])).toBe('accepted');
    expect(outcome(ledger, [open(ann, bob)], [hospital])).toBe('accepted');
  });

  it('merges and unmerges two pseudonyms of one custodian, each keeping its own', () => {
    const ledger = new TestLedger();
    const [ann, bob] = [boundPatient(ledger, hospital, 'ann'), boundPatient(ledger, hospital, 'bob')];
    const message = (type: string) => ({ type: `identity/${type}`, survivor: ann.did, merged: bob.did });
    expect(outcome(ledger, [message('unmergePatients')], [hospital])).toBe('notMerged');
    expect(outcome(ledger, [message('mergePatients')], [clinic])).toBe('notAPatient');
    expect(outcome(ledger, [message('mergePatients')], [hospital])).toBe('accepted');
    expect(outcome(ledger, [message('mergePatients')], [hospital])).toBe('patientsDiffer');
    expect(currentPatient(ledger.reader(), bob.did)).toBe(ann.did);
    expect(outcome(ledger, [stamp('x')], [bob])).toBe('accepted');
    expect(outcome(ledger, [message('unmergePatients')], [hospital])).toBe('accepted');
    expect(currentPatient(ledger.reader(), bob.did)).toBe(bob.did);
  });
});

describe('R-IDN-1 identity: any sequence of messages', () => {
  it('gives every replica the same state, breaks no invariant, and writes nothing when refused', () => {
    const steps = fc.array(arbitraryStep(arbitraryIdentityRequest), { minLength: 10, maxLength: 40 });
    let accepted = 0;
    const replica = testKernel();
    fc.assert(
      fc.property(steps, (sequence) => {
        const [one, other] = [new TestLedger(), new TestLedger(undefined, undefined, replica)];
        for (const ledger of [one, other]) setScene(ledger);
        for (const step of sequence) {
          const before = one.contractFingerprint();
          const result = runStep(one, step);
          expect(runStep(other, step)).toEqual(result);
          expect(errorName(one, result)).not.toBe('handlerFault');
          if (result.code !== 0) expect(one.contractFingerprint()).toBe(before);
          else accepted += 1;
        }
        expect(one.fingerprint()).toBe(other.fingerprint());
        expect(one.problems()).toEqual([]);
      }),
      { numRuns: 100 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});
