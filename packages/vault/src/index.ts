export {
  BlobStore,
  blobAddress,
  openBlobStore,
  packedBlobBytesMax,
  type ScanReport,
  type StoredBlob,
} from './blob-store.ts';
export { contentLength, headerBytes, type RangeSource, sealedLength } from './chunks.ts';
export { indexToken, openColumn, sealColumn } from './columns.ts';
export {
  decryptContent,
  decryptContentRange,
  encryptContent,
  openContent,
  sealContent,
  smallContentBytesMax,
} from './content.ts';
export { StoreLock } from './durable-files.ts';
export { type Erasure, parseErasures } from './erasure-list.ts';
export { VaultErrorCodes, vaultErrors } from './errors.ts';
export {
  type ErasureEvidence,
  epochRetirementMsMax,
  type KeyRing,
  type KeyRingOptions,
  type KeyRingReport,
  openKeyRing,
} from './key-ring.ts';
export { EnvironmentKeyProvider, FileKeyProvider, type OrganisationKeyProvider } from './organisation-keys.ts';
export {
  encodeSealed,
  type OpenedPayload,
  type OpenSealedOptions,
  openSealed,
  parseSealed,
  recipientsMax,
  type SealedEnvelope,
  type SealedPayload,
  type SealOptions,
  sealedAddress,
  sealedContentBytesMax,
  sealedEnvelopeBytesMax,
  sealPayload,
} from './sealed.ts';
export { type ByteSource, collect, readSource, toReadableStream } from './streams.ts';
export {
  type LogBatch,
  type LogEntry,
  type LogHead,
  openSyncedLog,
  type SyncedLog,
  type SyncedLogOptions,
} from './synced-log.ts';
export {
  type ErasedRecord,
  openVault,
  type RecordContent,
  type RecordName,
  recordBytesMax,
  type Vault,
  type VaultOptions,
  type VaultReport,
} from './vault.ts';
