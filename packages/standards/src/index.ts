export * from './errors.ts';
export { type AccountingEntry, auditEventOf } from './fhir/audit-event.ts';
export { authorName } from './fhir/authors.ts';
export * from './fhir/bundle.ts';
export * from './fhir/capability.ts';
export * from './fhir/compartment.ts';
export { type ConsentOptions, consentOfDirective, type DirectiveContent, directiveOfConsent } from './fhir/consent.ts';
export { entryBytesMax, entryDepthMax, envelopeBytesMax } from './fhir/entry-scanner.ts';
export * from './fhir/generator/generate.ts';
export {
  NPI_SYSTEM,
  ORGANIZATION_SYSTEM,
  type SandboxOrganization,
  type SandboxPractitioner,
  sandboxDirectory,
  sandboxOrganization,
  sandboxOrganizations,
} from './fhir/generator/organizations.ts';
export { inflationRatioMax, inputBytesMax } from './fhir/inflate.ts';
export type { SensitivityLabel } from './fhir/label-codes.ts';
export * from './fhir/labels.ts';
export * from './fhir/metadata.ts';
export * from './fhir/outcome.ts';
export * from './fhir/personal-strings.ts';
export * from './fhir/reader.ts';
export * from './fhir/reference-index.ts';
export * from './fhir/references.ts';
export { RESOURCE_TYPES } from './fhir/resource-types.ts';
export { compareRanges, type DatePrefix, dateRange, rangeOf, type TimeRange } from './fhir/search/dates.ts';
export { fold, type MatchOptions, matchesSearch } from './fhir/search/match.ts';
export * from './fhir/search/parameters.ts';
export * from './fhir/search/parse.ts';
export * from './fhir/search/sort.ts';
export * from './fhir/split.ts';
export * from './fhir/subset.ts';
export * from './fhir/texts.ts';
export * from './fhir/types.ts';
export * from './fhir/validation.ts';
