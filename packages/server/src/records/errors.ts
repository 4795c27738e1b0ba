import { SalusError } from '@salus/protocol';

/** Errors of keeping and importing records: 750–779. Texts never quote content. */
export const RecordErrorCodes = {
  subjectUnknown: 750,
  subjectAmbiguous: 751,
  resourceIdTaken: 752,
  resourceTooLarge: 753,
  requestMethodUnsupported: 754,
  anchorRefused: 755,
  registrationRefused: 756,
  recordDamaged: 757,
  resourceErased: 758,
  resourceInvalid: 759,
  ledgerUnavailable: 760,
  spoolTooLarge: 761,
  recordsUnavailable: 762,
  versionConflict: 774,
  conditionUnsupported: 775,
  entryRepeated: 777,
  addressMismatch: 778,
  createdMeanwhile: 779,
} as const;

export type RecordErrorName = keyof typeof RecordErrorCodes;

export const recordErrors: Readonly<Record<RecordErrorName, string>> = {
  subjectUnknown: 'names a patient who is not known here: import the Patient first or in the same Bundle',
  subjectAmbiguous: 'is about several patients: give each patient a resource of their own',
  resourceIdTaken: 'has the id of another patient’s resource: use a new id',
  resourceTooLarge: 'is larger than resourceBytesMax: store large content as Binary or by DICOMweb',
  conditionUnsupported: 'has a condition that is not understood here: ask by one identifier=system|value, with POST',
  requestMethodUnsupported: 'asks for a method that an import does not do: use POST or PUT',
  entryRepeated: 'is updated by an earlier entry of this transaction: send each resource once (R4 §3.1.0.11.2)',
  addressMismatch: 'is not what the address of its request names: type and id have to be the same',
  createdMeanwhile: 'was created by somebody else at the same moment: repeat it, and what is here is found',
  anchorRefused: 'The ledger refused the commitments: see the code in the log; nothing of this batch is visible.',
  recordDamaged: 'The stored content does not match its commitment on the ledger: restore it from a backup.',
  resourceErased: 'was erased here: give what is new an id of its own',
  resourceInvalid: 'is not a valid FHIR R4 resource: see the issues that $validate names',
  ledgerUnavailable: 'The ledger cannot commit at the moment: repeat it; what is stored already is not stored twice.',
  spoolTooLarge: 'The upload is larger than this node takes at once: split it.',
  recordsUnavailable: 'This organisation’s records are not open yet: repeat the request in a few seconds.',
  versionConflict: 'was changed by somebody else: read it again and repeat your change',
  registrationRefused: 'The ledger refused to register the patients: see the code in the log.',
};

export function recordError(name: RecordErrorName, detail?: string, options?: ErrorOptions): SalusError {
  const advice = recordErrors[name];
  return new SalusError(RecordErrorCodes[name], detail === undefined ? advice : `${detail}: ${advice}`, options);
}

/** code → name and what to do next. */
export const recordErrorTable: ReadonlyMap<number, { name: string; advice: string }> = new Map(
  Object.entries(RecordErrorCodes).map(([name, code]) => [
    code,
    { name, advice: capitalised(recordErrors[name as RecordErrorName]) },
  ]),
);

function capitalised(advice: string): string {
  return /^[a-z]/.test(advice) ? `The resource ${advice}.` : advice;
}
