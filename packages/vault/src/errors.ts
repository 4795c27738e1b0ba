import { type ErrorDescription, SalusError } from '@salus/protocol';

/** Numbers 200–299 belong to the vault. A number never changes its meaning. */
export const VaultErrorCodes = {
  organisationKeyMissing: 200,
  organisationKeyExposed: 201,
  organisationKeyDamaged: 202,
  organisationKeyWrong: 203,
  organisationKeyReadOnly: 204,
  idUnacceptable: 205,
  keyUnknown: 206,
  keyDestroyed: 207,
  keyUnreadable: 208,
  keyTaken: 209,
  storeInUse: 210,
  storeForeign: 211,
  storeClosed: 212,
  epochInUse: 213,
  erasureUnproven: 214,
  erasureListDamaged: 215,
  storeDamaged: 216,
  contentHeader: 220,
  contentDamaged: 221,
  contentTruncated: 222,
  contentExtended: 223,
  contentTooLarge: 224,
  contentRange: 225,
  contentKey: 226,
  blobUnknown: 230,
  blobDamaged: 231,
  diskFull: 232,
  blobTooLarge: 233,
  blobAddress: 234,
  sealedFormat: 240,
  sealedNotForKey: 241,
  sealedDamaged: 242,
  sealedCommitment: 243,
  sealedTooLarge: 244,
  sealedRecipients: 245,
  logEntryTooLarge: 250,
  logFull: 251,
  logDamaged: 252,
  logCut: 253,
  logCursor: 254,
  columnUnreadable: 260,
} as const;

export type VaultErrorName = keyof typeof VaultErrorCodes;

const advices: Record<VaultErrorName, string> = {
  organisationKeyMissing:
    'The organisation key of an epoch that is still in use is not there. Bring it back from escrow and start again.',
  organisationKeyExposed:
    'The organisation key file can be read by other users. Run chmod 600 on it, and rotate the key if others had access.',
  organisationKeyDamaged: 'The organisation key cannot be parsed. Bring it back from escrow.',
  organisationKeyWrong:
    'The organisation key does not belong to this key ring. Configure the key of this organisation.',
  organisationKeyReadOnly:
    'This key provider cannot change keys. Add or remove the epoch where the keys come from, then start again.',
  idUnacceptable: 'Ids are 1 to 200 printable ASCII characters.',
  keyUnknown: 'There is no key for this id. Check the id.',
  keyDestroyed: 'The key was destroyed by an erasure and cannot come back.',
  keyUnreadable:
    'A stored key does not authenticate: it was altered or moved. Run the integrity scan and restore from a backup.',
  keyTaken: 'This record id already belongs to another patient. Use a new record id.',
  storeInUse: 'Another process has this store open. Stop it first.',
  storeForeign: 'This directory holds a store of another kind, organisation or version. Choose another directory.',
  storeClosed: 'The store is closed. Open it again.',
  epochInUse: 'Keys are still wrapped under this epoch. Rotate first, then retire it.',
  erasureUnproven: 'Bytes of a destroyed key are still in the store. Run the erasure again; if it repeats, report it.',
  erasureListDamaged: 'The list of erasures was altered. Restore it from a backup before opening the key ring.',
  storeDamaged: 'The database of this store was altered. Run the integrity scan and restore it from a backup.',
  contentHeader: 'This is not an encrypted content of a known version. Check what was passed.',
  contentDamaged: 'The content does not authenticate with this key and context: it was altered or belongs elsewhere.',
  contentTruncated: 'The end of the content is missing. Fetch it again.',
  contentExtended: 'The content goes on after its end. Fetch it again.',
  contentTooLarge: 'The content is larger than the limit. Split it.',
  contentRange: 'The range lies outside the content. Ask for a range inside it.',
  contentKey: 'A content key has 32 bytes.',
  blobUnknown: 'There is no blob with this address. Check the address.',
  blobDamaged: 'A stored blob was altered. Run the integrity scan and restore it from a backup.',
  diskFull: 'The disk is full; nothing was stored. Free space and try again.',
  blobTooLarge: 'The blob is larger than the limit. Split it.',
  blobAddress: 'An address is 64 lower-case hexadecimal digits.',
  sealedFormat: 'This is not a sealed payload of a known version. Check what was passed.',
  sealedNotForKey: 'The payload is not sealed to this key, or for another context. Open it with the addressed key.',
  sealedDamaged: 'The sealed content was altered. Fetch it again from another party.',
  sealedCommitment: 'The content is not the one that was committed to. Do not rely on it; ask the sender.',
  sealedTooLarge: 'The content is larger than a sealed payload may be. Store it as a blob and seal its key.',
  sealedRecipients: 'A payload is sealed to 1 to 64 different P-256 public keys.',
  logEntryTooLarge: 'The log entry is larger than the limit. Log a reference instead.',
  logFull: 'The log has used its reserved space and the disk is full. Free space now: access waits for this log.',
  logDamaged: 'An entry of the access log was altered. Keep the files as evidence and restore from a backup.',
  logCut: 'The access log lacks entries that were anchored. Keep the files as evidence and restore from a backup.',
  logCursor: 'The anchored position is not in this log. Pass a head that this log returned.',
  columnUnreadable: 'A sealed value does not authenticate with this key and place: it was altered or moved.',
};

/** Code → name and what to do next. */
export const vaultErrors: ReadonlyMap<number, ErrorDescription> = new Map(
  Object.entries(VaultErrorCodes).map(([name, code]) => [code, { name, advice: advices[name as VaultErrorName] }]),
);

/** `detail` states positions, counts or names of settings: never ids of people and never content. */
export function vaultError(name: VaultErrorName, detail?: string): SalusError {
  return new SalusError(VaultErrorCodes[name], detail === undefined ? advices[name] : `${advices[name]} (${detail})`);
}
