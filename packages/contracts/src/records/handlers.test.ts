import { describe, expect, it } from 'vitest';
import { boundPatient, testDigest, testId, testMembers, testPractitioner } from '../kernel/test-kit.ts';
import { recordsContract } from './contract.ts';
import * as queries from './queries.ts';
import { Scene } from './scene.ts';

const { hospital, clinic } = testMembers();
const scene = new Scene([recordsContract]);
const { ledger } = scene;
const patient = boundPatient(ledger, hospital, 'patient');
const other = boundPatient(ledger, hospital, 'other patient');
const foreign = boundPatient(ledger, clinic, 'patient of the clinic');
const [anna, ben, carl] = ['anna', 'ben', 'carl'].map((label) => testPractitioner(ledger, hospital, label)) as [
  ReturnType<typeof testPractitioner>,
  ReturnType<typeof testPractitioner>,
  ReturnType<typeof testPractitioner>,
];
const [note, plan, letter] = [testId('note'), testId('plan'), testId('letter')];

const entry = (record: string, version: number, who = patient) => ({
  record,
  version,
  patient: who.did,
  commitment: testDigest(`${record} ${version}`),
  source: testDigest(`${record} ${version} original`),
  author: anna.kid,
});
const anchor = (...entries: ReturnType<typeof entry>[]) => ({ type: 'records/anchor', entries });
const propose = (record: string, version: number, more = {}) => ({
  type: 'records/propose',
  record,
  version,
  commitment: testDigest(`${record} ${version}`),
  ...more,
});
const vote = (verb: string, record: string, version: number, more = {}) => ({
  type: `records/${verb}`,
  record,
  version,
  ...more,
});
const reason = testDigest('reason');
const policy = (kind: string, approvers: { did: string }[], needed: number) => ({
  kind,
  approvers: approvers.map(({ did }) => did),
  needed,
});
const setPolicy = (record: string, value: ReturnType<typeof policy>) => ({
  type: 'records/setPolicy',
  record,
  policy: value,
});
const team = policy('careTeam', [anna, ben, carl], 2);
const both = policy('authorAndPatient', [anna, patient], 2);
const times: Record<string, number> = {};
const mark = (name: string): void => {
  times[name] = ledger.timeMs;
};

mark('before');
scene.step('the custodian anchors two first versions', anchor(entry(note, 1), entry(plan, 1)), hospital);
mark('first');
scene.step('a second version', anchor(entry(note, 2)), hospital);
mark('second');
scene.step('a version left out', anchor(entry(note, 4)), hospital, { error: 'versionNotNext' });
scene.step('a version written over', anchor(entry(note, 2)), hospital, { error: 'versionNotNext' });
scene.step('somebody else writes on', anchor(entry(note, 3)), clinic, { error: 'patientUnknown' });
scene.step("the other custodian's patient in this record", anchor(entry(note, 3, foreign)), clinic, {
  error: 'notYourRecord',
});
scene.step('a record changes its patient', anchor(entry(note, 3, other)), hospital, { error: 'patientDiffers' });
scene.step('a patient of another custodian', anchor(entry(letter, 1, foreign)), hospital, { error: 'patientUnknown' });
scene.step('a practitioner anchors', anchor(entry(letter, 1)), anna, { error: 'custodianNeeded' });
scene.step('one record twice in a batch', anchor(entry(letter, 1), entry(letter, 2)), hospital, { error: 'sameTwice' });
scene.step('one bad entry drops the whole batch', anchor(entry(letter, 1), entry(note, 9)), hospital, {
  error: 'versionNotNext',
});

scene.step('a majority that is none', setPolicy(plan, policy('careTeam', [anna, ben, carl], 1)), hospital, {
  error: 'policyUnfit',
});
scene.step('an approver named twice', setPolicy(plan, policy('reviewers', [anna, anna], 1)), hospital, {
  error: 'policyUnfit',
});
scene.step('a policy by somebody else', setPolicy(plan, team), clinic, { error: 'notYourRecord' });
scene.step('a policy for nothing', setPolicy(testId('nothing'), team), hospital, { error: 'recordUnknown' });
scene.step('a proposal without a policy', propose(plan, 2), anna, { error: 'policyMissing' });
scene.step('a majority of the care team', setPolicy(plan, team), hospital);
scene.step('anchoring past the policy', anchor(entry(plan, 2)), hospital, { error: 'policyRequired' });
scene.step('the policy replaced without the approvers', setPolicy(plan, both), hospital, { error: 'policyNotYours' });
scene.step('a stranger proposes', propose(plan, 2), clinic, { error: 'proposerNotAllowed' });
scene.step('the patient proposes', propose(plan, 2), patient);
scene.step('a second proposal meanwhile', propose(plan, 3), anna, { error: 'proposalOpen' });
scene.step('the patient accepts for the team', vote('validate', plan, 2), patient, { error: 'notAnApprover' });
scene.step('anna accepts', vote('validate', plan, 2), anna);
scene.step('anna accepts again', vote('validate', plan, 2), anna, { error: 'votedAlready' });
mark('validated');
scene.step('ben accepts', vote('validate', plan, 2), ben);
scene.step('carl comes late', vote('validate', plan, 2), carl, { error: 'versionDecided' });
scene.step('anna proposes and so accepts', propose(plan, 3), anna);
scene.step('ben rejects', vote('reject', plan, 3, { reason }), ben);
scene.step('carl rejects', vote('reject', plan, 3, { reason }), carl);
scene.step('a rejected version accepted', vote('validate', plan, 3), anna, { error: 'versionDecided' });
scene.step('the patient disputes the rejection', vote('dispute', plan, 3, { statement: reason }), patient);
scene.step('somebody else disputes', vote('dispute', plan, 3, { statement: reason }), other, {
  error: 'notThePatient',
});
scene.step('a dispute of nothing', vote('dispute', plan, 9, { statement: reason }), patient, {
  error: 'versionUnknown',
});
scene.step('approvers agree to another policy', setPolicy(plan, both), [hospital, anna, carl]);
scene.step('author and patient: the author proposes', propose(plan, 4), anna);
scene.step('author and patient: the patient accepts', vote('validate', plan, 4), patient);

scene.step('the patient annotates', { type: 'records/annotate', record: note, commitment: reason }, patient);
scene.step('somebody else annotates', { type: 'records/annotate', record: note, commitment: reason }, other, {
  error: 'notThePatient',
});
const restrict = (restricted: boolean) => ({ type: 'records/restrict', record: note, restricted, reason });
scene.step('processing restricted', restrict(true), hospital);
scene.step('restricted again', restrict(true), hospital, { error: 'restrictionUnchanged' });
scene.step('restricted by somebody else', restrict(false), clinic, { error: 'notYourRecord' });
mark('erased');
const erase = { type: 'records/erase', records: [note], certificate: testDigest('certificate') };
scene.step('erased by somebody else', erase, clinic, { error: 'notYourRecord' });
scene.step('erased', erase, hospital);
scene.step('erased twice', erase, hospital, { error: 'recordErased' });
scene.step('a version after erasure', anchor(entry(note, 3)), hospital, { error: 'recordErased' });
scene.step('an annotation after erasure', { type: 'records/annotate', record: note, commitment: reason }, patient, {
  error: 'recordErased',
});

scene.tell('R-REC-3 versions of records and how they come to count', 'records');

describe('R-REC-3 what was current when', () => {
  const reader = ledger.reader();
  const timeOf = (name: string): number => times[name] ?? 0;

  it('tells the version that counted at a time, and that nothing was there', () => {
    expect(queries.versionAt(reader, plan, timeOf('before'))).toBeUndefined();
    expect(queries.versionAt(reader, plan, timeOf('first'))).toBe(1);
    expect(queries.versionAt(reader, plan, timeOf('validated'))).toBe(1);
    expect(queries.versionAt(reader, plan, ledger.timeMs)).toBe(4);
    expect(queries.currentVersion(reader, plan)).toBe(4);
    expect(queries.awaitingValidation(reader, plan)).toBeUndefined();
    expect(queries.head(reader, testId('never'))).toBeUndefined();
  });

  it('keeps a rejected and disputed version in history', () => {
    expect(queries.version(reader, plan, 3)).toMatchObject({ status: 'rejected', disputed: true });
  });

  it('R-LED-5 leaves of an erased record nothing that names the patient', () => {
    expect(queries.isErased(reader, note)).toBe(true);
    expect(queries.versionAt(reader, note, timeOf('second'))).toBeUndefined();
    const left = JSON.stringify([queries.head(reader, note), queries.version(reader, note, 1)]);
    expect(left).not.toContain(patient.did);
    expect(left).not.toContain(anna.did);
  });

  it('R-CON-3 counts every version of a patient, erased ones included', () => {
    expect(queries.patientCount(reader, patient.did)).toEqual({ versions: 6, erased: 2 });
    expect(queries.annotations(reader, note)).toHaveLength(1);
  });
});
