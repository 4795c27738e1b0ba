import { defineErrors } from '../kernel/errors.ts';

export const recordsErrors = defineErrors(4, {
  custodianNeeded: [1, 'an active organisation that holds the record must sign this'],
  patientUnknown: [2, 'name a patient whom your organisation registered'],
  recordUnknown: [3, 'anchor the record first; check its id'],
  notYourRecord: [4, 'only the custodian of this record may do this'],
  versionNotNext: [5, 'use the next version number of this record; read records/head'],
  patientDiffers: [6, 'a record stays with its patient; anchor a new record, or merge the patients'],
  recordErased: [7, 'this record was erased and takes no further version'],
  policyUnfit: [8, 'name distinct approvers and how many of them are needed: both of two, k of n, or more than half'],
  policyRequired: [9, 'this record has a change policy; propose the version instead of anchoring it'],
  policyMissing: [10, 'this record has no change policy; anchor the version'],
  proposerNotAllowed: [11, 'the custodian, its practitioner, an approver or the patient may propose a version'],
  versionUnknown: [12, 'name a version of this record'],
  versionDecided: [13, 'this version was accepted or rejected already'],
  notAnApprover: [14, 'only who the change policy names may accept or reject'],
  votedAlready: [15, 'you have answered about this version already'],
  proposalOpen: [16, 'another version awaits validation; wait for the answer to it'],
  notThePatient: [17, 'the patient, or who holds an authority for the patient, must sign this'],
  restrictionUnchanged: [18, 'the record is in this state already'],
  sameTwice: [19, 'a list names the same record twice; send one transaction for each version'],
  policyNotYours: [
    20,
    'the custodian sets the first policy; after that the approvers must agree: sign with enough of them',
  ],
  batchTooLarge: [21, 'send fewer entries in one batch; governance sets the most'],
});
