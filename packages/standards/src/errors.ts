import { SalusError } from '@salus/protocol';

/** Stable numbers of what this package refuses: 300–399. A number is never reused for another meaning. */
export const StandardsErrorCodes = {
  inputEmpty: 300,
  inputNotJson: 301,
  inputTruncated: 302,
  inputTooLarge: 303,
  inflationSuspicious: 304,
  gzipBroken: 305,
  inputEncoding: 306,
  inputKind: 307,
  entriesTooMany: 310,
  entryTooLarge: 311,
  entryTooDeep: 312,
  entrySyntax: 313,
  entryEncoding: 314,
  entryDuplicateMember: 315,
  entryLoneSurrogate: 316,
  entryWithoutResource: 317,
  entryNotAnObject: 318,
  envelopeTooLarge: 319,
  envelopeSyntax: 320,
  resourceTypeMissing: 330,
  resourceTypeUnknown: 331,
  resourceIdInvalid: 332,
  resourceStructure: 333,
  searchParameterUnknown: 340,
  searchModifierUnsupported: 341,
  searchValueInvalid: 342,
  searchTypeUnsupported: 343,
  searchTooComplex: 344,
  searchCursorInvalid: 345,
  consentUnsupported: 350,
  consentInvalid: 351,
  referenceUnresolved: 360,
  patientMissing: 361,
  custodianMissing: 362,
} as const;

export type StandardsErrorName = keyof typeof StandardsErrorCodes;

export type StandardsErrorDescription = { name: string; advice: string };

/** What to do next. The texts never contain anything of the content that was refused. */
const ADVICE: Record<StandardsErrorName, string> = {
  inputEmpty: 'The input is empty: send a FHIR Bundle, a resource, or NDJSON.',
  inputNotJson: 'The input is not FHIR JSON at this place: check the file with a JSON parser.',
  inputTruncated: 'The input ends in the middle of a value: transfer it again, and resume at the entry named here.',
  inputTooLarge: 'The input is larger than 16 GiB after decompression: split it.',
  inflationSuspicious: 'The input expands more than compressed text does: send it uncompressed.',
  gzipBroken: 'The gzip stream is damaged or incomplete: transfer it again, and resume at the entry named here.',
  inputEncoding: 'The input is not UTF-8 text: FHIR JSON is UTF-8 (R4 §2.6.2); convert it.',
  inputKind: 'The input is an archive or another format: unpack it, and send JSON, NDJSON, or gzip of these.',
  entriesTooMany: 'The input has more than 5,000,000 entries: split it.',
  entryTooLarge: 'The entry is larger than 64 MiB: store large attachments on their own and refer to them.',
  entryTooDeep: 'The entry is nested deeper than 100 levels: no R4 resource needs that.',
  entrySyntax: 'The entry is not valid JSON: correct it at its source.',
  entryEncoding: 'The entry is not valid UTF-8: convert it at its source.',
  entryDuplicateMember: 'An object of the entry names a member twice, so that readers would differ: name it once.',
  entryLoneSurrogate: 'A text of the entry contains half of a surrogate pair: replace it with a whole character.',
  entryWithoutResource: 'The entry has no resource: only entries that bring one can be imported.',
  entryNotAnObject: 'The entry is not a JSON object.',
  envelopeTooLarge: 'The Bundle has more than 1 MiB outside its entries: put content into entries.',
  envelopeSyntax: 'The Bundle around the entries is not valid JSON: correct it at its source.',
  resourceTypeMissing: 'The resource has no resourceType.',
  resourceTypeUnknown: 'The resourceType is not one of FHIR R4 (4.0.1).',
  resourceIdInvalid: 'The id must be 1–64 characters A–Z, a–z, 0–9, "-" and "." (R4 §2.24.0.1).',
  resourceStructure: 'The resource does not have the structure of its type in R4.',
  searchParameterUnknown: 'The search parameter is not supported here: see the CapabilityStatement at /metadata.',
  searchModifierUnsupported: 'The modifier is not supported for this search parameter: see the CapabilityStatement.',
  searchValueInvalid: 'The value of the search parameter does not have the form of its type (R4 §3.1.1.4).',
  searchTypeUnsupported: 'This resource type cannot be searched here: see the CapabilityStatement at /metadata.',
  searchTooComplex: 'The search has more than 64 parameters or 256 alternatives: split it.',
  searchCursorInvalid: 'The paging link is not one that this server made: start the search again.',
  consentUnsupported: 'The Consent contains a rule that cannot be expressed as a directive here: simplify it.',
  consentInvalid: 'The Consent lacks what a directive needs: status, patient, and one provision at least.',
  referenceUnresolved: 'A reference names something that is not in the Bundle and not known here.',
  patientMissing: 'The Bundle has no Patient: a record is split for one patient at a time.',
  custodianMissing: 'The Bundle has no Encounter with a serviceProvider: name the main custodian.',
};

/** code → name and what to do next. */
export const standardsErrors: ReadonlyMap<number, StandardsErrorDescription> = new Map(
  Object.entries(StandardsErrorCodes).map(([name, code]) => [
    code,
    { name, advice: ADVICE[name as StandardsErrorName] },
  ]),
);

export function adviceOf(code: number): string {
  return standardsErrors.get(code)?.advice ?? 'Unknown error.';
}

/** The error of a code with the text of the table; `where` says the place, never the content. */
export function standardsError(code: number, where?: string, options?: ErrorOptions): SalusError {
  const advice = adviceOf(code);
  return new SalusError(code, where ? `${where}: ${advice}` : advice, options);
}
