/** Errors of the FHIR interface itself: 763–779. What an import, a search or the gate refuses keeps its own number. */
export const FhirErrorCodes = {
  resourceUnknown: 763,
  versionConflict: 764,
  searchNeedsPatient: 765,
  bundleUnsupported: 766,
  identityMismatch: 767,
  ifMatchMalformed: 768,
  notAcceptable: 769,
  bundleRefused: 770,
  preconditionMissing: 771,
  grantExpired: 772,
  grantUsedUp: 773,
  resourceDeleted: 776,
} as const;

export type FhirErrorCode = (typeof FhirErrorCodes)[keyof typeof FhirErrorCodes];

export const fhirErrors: ReadonlyMap<FhirErrorCode, { name: string; advice: string }> = new Map([
  [763, { name: 'resourceUnknown', advice: 'There is no such resource here, or none that you may know of.' }],
  [764, { name: 'versionConflict', advice: 'Somebody else changed it: read it again and repeat your change.' }],
  [
    765,
    {
      name: 'searchNeedsPatient',
      advice: 'Name the patient: `patient=ID`; for Patient itself `_id`, `identifier`, `name` or `birthdate`.',
    },
  ],
  [
    766,
    { name: 'bundleUnsupported', advice: 'Send a Bundle of type transaction or batch with at most 5,000 entries.' },
  ],
  [767, { name: 'identityMismatch', advice: 'resourceType and id of the body must be those of the address.' }],
  [768, { name: 'ifMatchMalformed', advice: 'Give the version as `If-Match: W/"3"`.' }],
  [769, { name: 'notAcceptable', advice: 'Ask for application/fhir+json: other formats are not served.' }],
  [770, { name: 'bundleRefused', advice: 'Nothing of the transaction was stored: correct the entries named here.' }],
  [771, { name: 'preconditionMissing', advice: 'The version that If-Match names does not exist: create it without.' }],
  [772, { name: 'grantExpired', advice: 'The patient’s permission has run out: ask the patient again.' }],
  [773, { name: 'grantUsedUp', advice: 'The patient’s permission was for a number of uses, which are used up.' }],
  [776, { name: 'resourceDeleted', advice: 'It was deleted; its earlier versions are in its history.' }],
]);

/** HTTP statuses other than 400. */
export const fhirErrorStatus: readonly (readonly [FhirErrorCode, number])[] = [
  [763, 404],
  [772, 403],
  [773, 403],
  [764, 412],
  [769, 406],
  [770, 422],
  [771, 412],
  [776, 410],
];
