export { accessDesks, accessPart } from './access/access-part.ts';
export { type Accounting, accountingOf } from './access/accounting.ts';
export { AccessDesk } from './access/desk.ts';
export { registerStaff } from './access/staff.ts';
export * from './auth/authenticator.ts';
export * from './auth/key-directory.ts';
export * from './auth/requester.ts';
export * from './auth/token.ts';
export { backupNode } from './backup/backup.ts';
export { copyErasureLists } from './backup/erasure-lists.ts';
export type { BackupManifest } from './backup/manifest.ts';
export { isSigningHeld, releaseSigning } from './backup/member-files.ts';
export { type RestoreOptions, type RestoreReport, restoreNode } from './backup/restore.ts';
export { splitMember } from './backup/split.ts';
export { callNode } from './control/call.ts';
export * from './events/block-feed.ts';
export * from './events/cursors.ts';
export * from './events/notices.ts';
export { expiryText } from './expiry/expiry.ts';
export { itemsOfLines } from './export/items.ts';
export { exportPatient } from './export/patient-export.ts';
export { type ExportReport, refuseTaken, writeExport } from './export/write-export.ts';
export { createLog, type LogLevel, type NodeLog } from './http/log.ts';
export { ApiFault, addErrorTable, problemOf, RuleFault, setErrorStatus } from './http/problems.ts';
export * from './node/data-directory.ts';
export { type DoctorReport, examineDirectory } from './node/doctor.ts';
export {
  type Engine,
  EngineLedger,
  genesisOf,
  openEmbeddedLedger,
  readSeed,
  retireValidatorKey,
} from './node/embedded-ledger.ts';
export * from './node/errors.ts';
export * from './node/ledger-access.ts';
export * from './node/parts.ts';
export * from './node/sandbox.ts';
export * from './node/start-node.ts';
export { softwareVersion } from './node/version.ts';
export * from './orgs/keys.ts';
export * from './orgs/offline-keys.ts';
export * from './orgs/organization.ts';
export { staffDid } from './orgs/staff.ts';
export { pinOf } from './peers/connection.ts';
export { OrganizationRecords } from './records/organization-records.ts';
export { recordsOf, recordsPart } from './records/records-part.ts';
export * from './store/database.ts';
export * from './store/location.ts';
export { type MoveReport, moveStores } from './store/node-stores.ts';
export * from './store/tables.ts';
