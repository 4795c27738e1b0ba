import { describe, expect, it } from 'vitest';
import { boundPatient, dayMs, testDigest, testId, testMembers, testParticipant } from '../kernel/test-kit.ts';
import { recordsContract } from '../records/index.ts';
import { Scene } from '../records/scene.ts';
import { consentContract } from './contract.ts';
import { expiryStepMs } from './handlers.ts';
import * as queries from './queries.ts';

const { hospital, clinic } = testMembers();
const scene = new Scene([recordsContract, consentContract]);
const { ledger } = scene;
const patient = boundPatient(ledger, hospital, 'patient');
const other = boundPatient(ledger, hospital, 'other patient');
const guardian = testParticipant('guardian');
ledger.accept([{ type: 'identity/registerDelegate', did: guardian.did, keys: guardian.keys }], [hospital, guardian]);

const soon = Math.ceil((ledger.timeMs + dayMs) / expiryStepMs) * expiryStepMs;
const grant = (label: string, more: Record<string, string | number | boolean> = {}) => ({
  type: 'consent/grant',
  directive: testId(label),
  patient: patient.did,
  commitment: testDigest(label),
  expiresMs: soon,
  uses: 0,
  endToken: testId(`end of ${label}`),
  hosted: false,
  ...more,
});
const revoke = (labels: string[], more: Record<string, string | boolean> = {}) => ({
  type: 'consent/revoke',
  patient: patient.did,
  directives: labels.map(testId),
  notice: testDigest(`notice ${labels}`),
  hosted: false,
  ...more,
});
const end = (...tokens: string[]) => ({ type: 'consent/endCondition', tokens: tokens.map(testId) });
const authority = testId('guardianship');
const attested = {
  type: 'identity/attestAuthority',
  patient: patient.did,
  authority,
  holder: guardian.did,
  commitment: testDigest('guardianship'),
  expiresMs: soon,
};
ledger.accept([attested], [hospital]);

scene.step('the patient grants', grant('clinic'), patient);
scene.step('a directive id used twice', grant('clinic'), patient, { error: 'directiveExists' });
scene.step('the custodian grants for the patient', grant('forged'), hospital, { error: 'notThePatient' });
scene.step('another patient grants', grant('forged'), other, { error: 'notThePatient' });
scene.step('an exact expiry', grant('exact', { expiresMs: soon + 1 }), patient, { error: 'expiryNotCoarse' });
scene.step('an expiry that is over', grant('over', { expiresMs: 0 }), patient, { error: 'expiryNotCoarse' });
const beyond = soon + 4_000 * expiryStepMs;
scene.step('an expiry beyond the governed most', grant('ever', { expiresMs: beyond }), patient, {
  error: 'expiryNotCoarse',
});
scene.step('more uses than governed', grant('greedy', { uses: 999_999 }), patient, { error: 'usesTooMany' });
scene.step('an unknown issuer of the condition', grant('odd', { endIssuer: other.did }), patient, {
  error: 'issuerUnknown',
});
scene.step('a guardian grants', grant('by guardian', { authority }), guardian);
scene.step('somebody else in the name of the authority', grant('forged', { authority }), other, {
  error: 'notThePatient',
});
scene.step(
  'three directives at once',
  ['a', 'b', 'c'].map((label) => grant(label)),
  patient,
);
scene.step('the patient revokes two at once', revoke(['a', 'b']), patient);
scene.step('revoked twice', revoke(['a']), patient, { error: 'directiveRevoked' });
scene.step('one named twice', revoke(['c', 'c']), patient, { error: 'sameTwice' });
scene.step('somebody else revokes', revoke(['c']), hospital, { error: 'notThePatient' });
scene.step("another patient's directive", { ...revoke(['c']), patient: other.did }, other, {
  error: 'directiveUnknown',
});
scene.step('the guardian revokes what the ward granted', revoke(['c'], { authority }), guardian);
scene.step('a directive for an open referral', grant('referral'), patient);
scene.step('a directive of an issuer elsewhere', grant('elsewhere', { endIssuer: clinic.did }), patient);
scene.step('the referral is closed', end('end of referral'), hospital);
scene.step('closed twice', end('end of referral'), hospital, { error: 'conditionAlreadyEnded' });
scene.step('a patient ends a condition', end('end of clinic'), patient, { error: 'organisationNeeded' });
scene.step('somebody else ends the same words', end('end of elsewhere'), hospital);
scene.step('counted uses', grant('three', { uses: 3 }), patient);
scene.tell('R-CON-1 R-CON-7 directives on the ledger', 'consent');

const status = (label: string, nowMs = ledger.timeMs) => queries.directiveStatus(ledger.reader(), testId(label), nowMs);

describe('R-CON-7 how a directive stands', () => {
  it('is one of four answers, computed at block time', () => {
    expect(status('clinic')).toBe('active');
    expect(status('clinic', soon)).toBe('expired');
    expect(status('a')).toBe('revoked');
    expect(status('referral')).toBe('expired');
    expect(status('three')).toBe('active');
    expect(status('never granted')).toBeUndefined();
  });

  it('ends a condition for its issuer alone', () => expect(status('elsewhere')).toBe('active'));

  it('ends with the authority under which it was given', () => {
    expect(status('by guardian')).toBe('active');
    const revoked = { type: 'identity/revokeAuthority', patient: patient.did, authority };
    ledger.accept([revoked], [hospital]);
    expect(status('by guardian')).toBe('expired');
    expect(queries.directiveState(ledger.reader(), testId('by guardian'), ledger.timeMs)?.issuerInForce).toBe(false);
  });

  it('R-CON-4 records under which authority a guardian revoked', () => {
    expect(queries.directive(ledger.reader(), testId('c'))).toMatchObject({
      revokedBy: guardian.did,
      revokedUnder: authority,
    });
  });

  it('R-CON-3 counts all directives of a patient, so that a gate that misses one notices', () => {
    const reader = ledger.reader();
    expect(queries.directiveCount(reader, patient.did)).toBe(queries.directivesOf(reader, patient.did).length);
    expect(queries.directiveCount(reader, patient.did)).toBe(8);
  });
});

describe('R-LED-5 what an onlooker sees of consent', () => {
  const shape = (value: object) => Object.entries(value).map(([name, v]) => `${name}:${typeof v}:${String(v).length}`);
  const written = (label: string) => {
    const before = new Map(ledger.state);
    ledger.accept([grant(label)], [patient]);
    return [...ledger.state]
      .filter(([key, value]) => key.startsWith('consent/directive/') && before.get(key) !== value)
      .map(([key, value]) => [key.length, value.length]);
  };

  it('a permit to a doctor and a denial of everybody have the same members, lengths and stored size', () => {
    expect(shape(grant('permit a doctor'))).toEqual(shape(grant('deny everybody')));
    expect(written('permit a doctor')).toEqual(written('deny everybody'));
  });

  it('R-CON-1 a quiet revocation is a revocation: no member tells whether the other side is told', () => {
    expect(shape(revoke(['quiet']))).toEqual(shape(revoke(['plain'])));
  });

  it('no grantee, category, purpose or condition stands in state or events', () => {
    const text = JSON.stringify([...ledger.iterate('consent/')].map(([key]) => [key, ledger.value(key)]));
    for (const word of ['TREAT', 'doctor', 'permit', 'deny', 'referral', 'mental']) {
      expect(text).not.toContain(word);
    }
  });
});
