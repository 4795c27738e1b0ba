import { type Did, fromBase64url, merkleProof, verifyMerkleProof } from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import { expiryStepMs } from '../consent/handlers.ts';
import { consentContract } from '../consent/index.ts';
import { jurisdictionUsa } from '../governance/packs/usa.ts';
import { ruleSetDigest } from '../governance/rule-sets.ts';
import {
  boundPatient,
  dayMs,
  testDid,
  testDigest,
  testId,
  testMembers,
  testParticipant,
  testPractitioner,
} from '../kernel/test-kit.ts';
import { recordsContract } from '../records/index.ts';
import { Scene } from '../records/scene.ts';
import { batchLeaves } from './batch-handlers.ts';
import { accessContract } from './contract.ts';
import * as queries from './queries.ts';

const { hospital, clinic, payer } = testMembers();
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const scene = new Scene([recordsContract, consentContract, accessContract]);
const { ledger } = scene;
const patient = boundPatient(ledger, hospital, 'patient');
const other = boundPatient(ledger, hospital, 'other patient');
const foreign = boundPatient(ledger, clinic, 'patient of the clinic');
const doctor = testPractitioner(ledger, clinic, 'doctor');
const clerk = testPractitioner(ledger, clinic, 'clerk', { roles: ['clerk'] });
const student = testPractitioner(ledger, clinic, 'student', { licensed: false });
const officer = testPractitioner(ledger, hospital, 'officer', { roles: ['officer'], licensed: false });
const carer = testParticipant('carer');
ledger.accept([{ type: 'identity/registerDelegate', did: carer.did, keys: carer.keys }], [hospital, carer]);
const soon = Math.ceil((ledger.timeMs + dayMs) / expiryStepMs) * expiryStepMs;
const authority = testId('carer');
const authorityOfCarer = { authority, holder: carer.did, commitment: testDigest('carer'), expiresMs: soon };
ledger.accept([{ type: 'identity/grantAuthority', patient: patient.did, ...authorityOfCarer }], [patient]);

type More = Record<string, string | number | boolean>;
const request = (label: string, more: More = {}) => ({
  type: 'access/request',
  request: testId(label),
  custodian: hospital.did,
  patient: patient.did,
  commitment: testDigest(label),
  ...more,
});
const decide = (label: string, decision: 'permit' | 'deny', more: More = {}) => ({
  type: 'access/decide',
  request: testId(label),
  decision,
  untilMs: decision === 'permit' ? ledger.timeMs + hourMs : 0,
  commitment: testDigest(`decision ${label}`),
  hosted: false,
  ...more,
});
type Basis = Record<string, string | string[]>;
const release = (label: string, basis: Basis, more: More = {}) => ({
  type: 'access/release',
  release: testId(`release ${label}`),
  patient: patient.did,
  basis,
  commitment: testDigest(`release ${label}`),
  ...more,
});
const grant = (label: string, more: More = {}) => ({
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
const byRequest = (label: string): Basis => ({ kind: 'request', request: testId(label) });
const byDirective = (...labels: string[]): Basis => ({ kind: 'directive', directives: labels.map(testId) });
const glass = (label: string, more: More = {}) => ({
  type: 'access/breakGlass',
  glass: testId(label),
  custodian: hospital.did,
  patient: patient.did,
  practitioner: doctor.did,
  reason: testDigest(`reason ${label}`),
  windowMs: hourMs,
  ...more,
});
const review = (label: string) => ({
  type: 'access/review',
  glass: testId(label),
  outcome: 'justified',
  commitment: testDigest(`review ${label}`),
});

function requests(): void {
  scene.step('scenario 2: a doctor elsewhere asks', request('ask'), doctor);
  scene.step('the same request id', request('ask'), clinic, { error: 'requestExists' });
  scene.step('somebody who is nobody here asks', request('nobody'), patient, { error: 'organisationNeeded' });
  scene.step('about somebody who is not there', request('ghost', { patient: testDid('ghost') }), clinic);
  scene.step('at a custodian that is none', request('nowhere', { custodian: patient.did }), clinic, {
    error: 'custodianUnknown',
  });
  scene.step('a time-out beyond the governed most', request('long', { timeoutMs: 8 * dayMs }), clinic, {
    error: 'timeoutTooLong',
  });
  scene.step('released before the patient answered', release('early', byRequest('ask')), hospital, {
    error: 'requestNotPermitted',
  });
  scene.step('the custodian permits for the patient', decide('ask', 'permit'), hospital, { error: 'notThePatient' });
  scene.step('the requester permits itself', decide('ask', 'permit'), doctor, { error: 'notThePatient' });
  scene.step('a permit without an end', decide('ask', 'permit', { untilMs: 0 }), patient, { error: 'decisionUnfit' });
  const [named, theirs] = [testId('no such'), { directive: testId('no such') }];
  scene.step(`a permit that names directive ${named}`, decide('ask', 'permit', theirs), patient, {
    error: 'directiveUnknown',
  });
  scene.step('R-CON-2 the patient permits with their own key', decide('ask', 'permit'), patient);
  scene.step('decided twice', decide('ask', 'deny'), patient, { error: 'requestDecided' });
  scene.step('an answer to nothing', decide('never asked', 'deny'), patient, { error: 'requestUnknown' });
  scene.step('released on the request', release('first', byRequest('ask')), hospital);
  scene.step('one release id twice', release('first', byRequest('ask')), hospital, { error: 'releaseExists' });
  scene.step('released by somebody else', release('theirs', byRequest('ask')), clinic, { error: 'notYourPatient' });
  const forOther = release('wrong', byRequest('ask'), { patient: other.did });
  scene.step('another patient released on it', forOther, hospital, { error: 'requestUnknown' });
  scene.step('after the permit ran out', release('late', byRequest('ask')), hospital, {
    error: 'permitExpired',
    afterMs: hourMs,
  });
  scene.step('a second request', request('silence'), clinic);
  scene.step('scenario 3: an answer after 30 minutes of silence', decide('silence', 'permit'), patient, {
    error: 'requestTimedOut',
    afterMs: 30 * minuteMs,
  });
  scene.step('a third request', request('no'), clinic);
  scene.step('the patient denies', decide('no', 'deny'), patient);
  scene.step('released after a denial', release('no', byRequest('no')), hospital, { error: 'requestNotPermitted' });
  scene.step('a fourth request', request('for the carer'), clinic);
  scene.step('R-CON-4 a carer answers under an authority', decide('for the carer', 'deny', { authority }), carer);
  scene.step('a request answered together with a directive', request('lasting'), clinic);
  const lasting = decide('lasting', 'permit', { directive: testId('lasting') });
  scene.step('permit and directive in one transaction', [grant('lasting'), lasting], patient);
}

function releases(): void {
  scene.step('three uses', grant('three', { uses: 3 }), patient);
  for (const n of [1, 2, 3]) scene.step(`use ${n} of 3`, release(`use ${n}`, byDirective('three')), hospital);
  scene.step('scenario 27: the fourth use', release('use 4', byDirective('three')), hospital, {
    error: 'directiveUsedUp',
  });
  scene.step('no directive of this patient', release('none', byDirective('nothing')), hospital, {
    error: 'directiveUnknown',
  });
  scene.step('a directive', grant('short'), patient);
  scene.step('scenario 28: released before', release('before', byDirective('short')), hospital);
  const directives = [testId('short')];
  const revoke = { type: 'consent/revoke', patient: patient.did, directives, notice: testDigest('n'), hosted: false };
  scene.step('revoked while an export runs', revoke, patient);
  scene.step('the rest of the export', release('after', byDirective('short')), hospital, {
    error: 'directiveRevoked',
  });
  scene.step('a directive for a referral', grant('referral'), patient);
  scene.step('the referral closes', { type: 'consent/endCondition', tokens: [testId('end of referral')] }, hospital);
  scene.step('scenario 26: from the next block', release('closed', byDirective('referral')), hospital, {
    error: 'conditionEnded',
  });
  const ruleSet = ruleSetDigest(jurisdictionUsa);
  scene.step('required by law', release('law', { kind: 'rule', ruleSet }), hospital);
  scene.step(
    'a rule set that nobody published',
    release('law 2', { kind: 'rule', ruleSet: testDigest('x') }),
    hospital,
    {
      error: 'ruleSetUnknown',
    },
  );
  scene.step('to the patient', release('own', { kind: 'subject' }), hospital);
  scene.step('to who acts for the patient', release('acting', { kind: 'authority', authority }), hospital);
  const unknown = { kind: 'authority', authority: testId('no authority') };
  scene.step('to who does not', release('not acting', unknown), hospital, { error: 'notThePatient' });
}

function emergencies(): void {
  scene.step('scenario 11: break-glass by a licensed doctor', glass('one'), clinic);
  scene.step('released in the window', release('glass', { kind: 'breakGlass', glass: testId('one') }), hospital);
  scene.step('scenario 12: break-glass by a clerk', glass('clerk', { practitioner: clerk.did }), clinic, {
    error: 'roleNotAllowed',
  });
  scene.step('break-glass without a licence', glass('student', { practitioner: student.did }), clinic, {
    error: 'practitionerNotLicensed',
  });
  scene.step("another organisation's doctor", glass('borrowed'), payer, { error: 'notYourPractitioner' });
  scene.step('a window beyond the governed most', glass('long', { windowMs: 5 * hourMs }), clinic, {
    error: 'windowTooLong',
  });
  scene.step('the same id', glass('one'), doctor, { error: 'glassExists' });
  scene.step('a second today', glass('two'), doctor);
  scene.step('scenario 13: a third today, over the limit', glass('three'), doctor);
  const over = release('glass late', { kind: 'breakGlass', glass: testId('two') });
  scene.step('released after the window', over, hospital, { error: 'glassNotOpen', afterMs: hourMs });
  scene.step('reviewed by who broke it', review('one'), doctor, { error: 'reviewerNotAllowed' });
  scene.step('reviewed by the privacy officer', review('one'), officer);
  scene.step('reviewed twice', review('one'), officer, { error: 'reviewedAlready' });
  scene.step('a review of nothing', review('nothing'), officer, { error: 'glassUnknown' });
  scene.step('the next day starts anew', glass('tomorrow'), doctor, { afterMs: dayMs });
}

const entries: [Did, string][] = [patient, other, patient, patient].map(({ did }, n) => [did, testDigest(`read ${n}`)]);

function batches(): void {
  scene.step('routine accesses', { type: 'access/anchorBatch', entries }, hospital);
  scene.step('more of them', { type: 'access/anchorBatch', entries: entries.slice(0, 2) }, hospital);
  scene.step('anchored by a patient', { type: 'access/anchorBatch', entries }, patient, {
    error: 'organisationNeeded',
  });
  const late = entries.map(([did, digest]) => [did, digest, ledger.timeMs - hourMs] as [string, string, number]);
  const lateAnchor = { type: 'access/lateAnchor', entries: late, reason: testDigest('outage') };
  scene.step('scenario 14: what went on while the ledger could not commit', lateAnchor, hospital);
  const early = [[patient.did, testDigest('early'), ledger.timeMs + hourMs]] as [string, string, number][];
  scene.step('an access that is still to come', { ...lateAnchor, entries: early }, hospital, {
    error: 'occurredLater',
  });
  scene.step("one counts in another custodian's name only for itself", { type: 'access/anchorBatch', entries }, clinic);
}

requests();
releases();
emergencies();
batches();
scene.tell('R-CON-2 R-CON-3 R-CON-4 access on the ledger', 'access');

const reader = ledger.reader();

describe('R-CON-2 what became of a request', () => {
  it.each([
    ['ask', 'expired'],
    ['silence', 'timed-out'],
    ['ghost', 'timed-out'],
    ['no', 'denied'],
    ['for the carer', 'denied'],
    ['lasting', 'expired'],
  ])('%s: %s', (label, status) => {
    expect(queries.requestStatus(reader, testId(label), ledger.timeMs)).toBe(status);
  });

  it('silence and somebody who is not there time out at the same distance', () => {
    const [silence, ghost] = ['silence', 'ghost'].map((label) => queries.request(reader, testId(label)));
    expect(silence!.expiresMs - silence!.openedMs).toBe(ghost!.expiresMs - ghost!.openedMs);
  });

  it('refuses one request more than may wait, until one is over', () => {
    const ask = (label: string) => ledger.run([request(label, { patient: foreign.did })], [clinic]);
    for (let n = 0; n < 20; n += 1) expect(ask(`many ${n}`).code).toBe(0);
    expect(ask('one more').log).toContain('requestsTooMany');
    ledger.advance(30 * minuteMs);
    expect(ask('one more').code).toBe(0);
  });
});

describe('R-CON-7 uses at the same instant', () => {
  it('scenario 27: of two third uses in one block exactly one succeeds', () => {
    ledger.accept([grant('one', { uses: 1 })], [patient]);
    const race = ['left', 'right'].map((label) => {
      const tx = ledger.transaction([release(label, byDirective('one'))], [hospital]);
      return { tx, keysUsed: ledger.keysUsed(tx) };
    });
    const codes = ledger.runBlock(race).map(({ code }) => code);
    expect(codes.filter((code) => code === 0)).toHaveLength(1);
  });
});

describe('R-CON-4 break-glass and its review', () => {
  it('scenario 13: raises an alarm over the limit, and permits as the parameter says', () => {
    expect(queries.glass(reader, testId('two'))).toMatchObject({ alarm: false, refused: false });
    expect(queries.glass(reader, testId('three'))).toMatchObject({ alarm: true, refused: false });
    expect(queries.glass(reader, testId('tomorrow'))).toMatchObject({ alarm: false });
  });

  it('scenario 13: refuses over the limit where the parameter says so, and still records the alarm', () => {
    const parameters = { breakGlassOverLimitRefused: 1, breakGlassPerPractitionerPerDayMax: 1 };
    const strict = new Scene([recordsContract, consentContract, accessContract], { parameters });
    const person = boundPatient(strict.ledger, hospital, 'patient');
    const who = testPractitioner(strict.ledger, clinic, 'doctor');
    const open = (label: string) => glass(label, { patient: person.did, practitioner: who.did });
    expect(strict.ledger.accept([open('a')], [clinic]).outputs).toMatchObject([{ outcome: 'open' }]);
    const second = strict.ledger.accept([open('b')], [clinic]);
    expect(second.outputs).toMatchObject([{ outcome: 'refused', alarm: true }]);
    expect(second.events.map(({ type }) => type)).toContain('access/GlassAlarm');
    const entry = queries.glass(strict.ledger.reader(), testId('b'))!;
    expect(queries.isGlassOpen(entry, strict.ledger.timeMs)).toBe(false);
    expect(strict.ledger.problems()).toEqual([]);
  });

  it("scenario 15: what nobody reviewed in time stands on the regulator's list, by itself", () => {
    const names = (nowMs: number) => queries.escalated(reader, hospital.did, nowMs).map(({ glass: id }) => id);
    const due = queries.glass(reader, testId('two'))!.reviewDueMs;
    expect(names(due - 1)).toEqual([]);
    expect(names(due)).toEqual([testId('two')]);
    expect(names(due + 30 * dayMs)).toEqual(['two', 'three', 'tomorrow'].map(testId));
    expect(queries.awaitingReview(reader, hospital.did)).toHaveLength(3);
  });
});

describe('R-CON-3 an accounting is complete', () => {
  it('numbers every routine access of a patient, provable in its batch', () => {
    const counts = new Map<Did, number>();
    const leaves = batchLeaves(entries, counts);
    const { root } = queries.batch(reader, hospital.did, 0)!;
    for (const [n, leaf] of leaves.entries()) {
      expect(verifyMerkleProof(root, leaf, merkleProof(leaves, n))).toBe(true);
    }
    const more = batchLeaves(entries.slice(0, 2), counts);
    const second = queries.batch(reader, hospital.did, 1)!;
    expect(verifyMerkleProof(second.root, more[0]!, merkleProof(more, 0))).toBe(true);
    expect(verifyMerkleProof(root, more[0]!, merkleProof(more, 0))).toBe(false);
    expect(counts.get(patient.did)).toBe(4);
  });

  it('counts routine accesses by custodian and patient, late ones too', () => {
    expect(queries.accountingCounts(reader, hospital.did, patient.did).routine).toBe(7);
    expect(queries.accountingCounts(reader, hospital.did, other.did).routine).toBe(3);
    expect(queries.accountingCounts(reader, clinic.did, patient.did).routine).toBe(3);
    expect([0, 1, 2].map((n) => queries.batch(reader, hospital.did, n)?.late)).toEqual([false, false, true]);
    expect(queries.batchCount(reader, hospital.did)).toBe(3);
  });

  it('lists requests, decisions, releases, break-glasses and reviews without a gap', () => {
    const listed = [...queries.accountingEntries(reader, hospital.did, patient.did)];
    expect(listed.map(([n]) => n)).toEqual(listed.map((_, n) => n));
    expect(listed).toHaveLength(queries.accountingCounts(reader, hospital.did, patient.did).entries);
    const kinds = new Set(listed.map(([, { kind }]) => kind));
    expect([...kinds].sort()).toEqual(['breakGlass', 'decide', 'release', 'request', 'review']);
  });

  it('answers the root that its leaves give', () => {
    const result = ledger.accept([{ type: 'access/anchorBatch', entries }], [hospital]);
    const { batch, root } = result.outputs[0] as { batch: number; root: string };
    expect(queries.batch(ledger.reader(), hospital.did, batch)?.root).toEqual(fromBase64url(root));
    expect(ledger.problems()).toEqual([]);
  });
});
