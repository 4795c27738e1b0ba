import { SalusError } from './errors.ts';

/** Stable numbers of what proofs, receipts and light blocks are refused for. A number is never reused. */
export const ProofErrorCodes = {
  wireSyntax: 100,
  wireNumber: 101,
  merkleIndex: 102,
  proofEncoding: 110,
  proofKeyAbsent: 111,
  proofKeyPresent: 112,
  proofTreeEmpty: 113,
  headerInvalid: 120,
  commitInvalid: 121,
  validatorsInvalid: 122,
  timeInvalid: 123,
  commitOtherBlock: 124,
  commitSignatureCount: 125,
  commitSignatureForeign: 126,
  commitSignatureInvalid: 127,
  commitPowerMissing: 128,
  validatorsHashDiffers: 129,
  chainOther: 130,
  lightNotAdjacent: 131,
  lightHeight: 132,
  lightTime: 133,
  lightExpired: 134,
  lightFuture: 135,
  validatorsUntrusted: 136,
  lightTrustMissing: 137,
  lightTrustLevel: 138,
  lightPeriods: 139,
  anchorInvalid: 140,
  anchorHeaderDiffers: 141,
  anchorTooNew: 142,
  trustedVoteInvalid: 143,
  commitSignatureTwice: 144,
  lightBackwards: 145,
  lightFirstBlock: 146,
  receiptTooLarge: 150,
  receiptNotCanonical: 151,
  receiptMembers: 152,
  receiptEmpty: 153,
  receiptHeaderLink: 154,
  receiptTransactionProof: 155,
  receiptResultProof: 156,
  receiptResultPosition: 157,
  receiptResultData: 158,
  receiptTransactionChain: 159,
  receiptStateProof: 160,
  receiptStateValue: 161,
  receiptTooOldHeight: 162,
  receiptTooOldTime: 163,
  handoverTooLarge: 164,
  handoverForm: 165,
  handoverLastBlock: 166,
  handoverRoot: 167,
  handoverSignatureCount: 168,
  handoverSignatureInvalid: 169,
  handoverPowerMissing: 170,
  handoverTime: 171,
  handoverHeight: 172,
  handoverConflict: 173,
  providerBlockMissing: 180,
  providerSilent: 181,
  providerHeightTooHigh: 182,
  providerBadBlock: 183,
  lightWitnessesMissing: 184,
  lightWitnessConflict: 185,
  lightUnconfirmed: 186,
  lightAttack: 187,
  lightStoreDiffers: 188,
  lightStoreForm: 189,
  evidenceForm: 190,
  evidenceHeight: 191,
  evidencePower: 192,
  evidenceNoConflict: 193,
  evidenceDerived: 194,
  evidenceByzantine: 195,
} as const;

export type ProofErrorName = keyof typeof ProofErrorCodes;

const ADVICE: Record<ProofErrorName, string> = {
  wireSyntax: 'The bytes are not a protobuf message of the expected kind: fetch them again.',
  wireNumber: 'A number does not fit its protobuf field (integers within ±(2^53−1)).',
  merkleIndex: 'The list has no leaf at that index: ask for one from 0 to the number of leaves less one.',
  proofEncoding:
    'The state proof is not an ICS-23 CommitmentProof of the sparse Merkle tree in its one encoding: ask for a new one.',
  proofKeyAbsent: 'The state has no value under this key: ask for a proof of absence.',
  proofKeyPresent: 'The state has a value under this key: ask for a proof of presence.',
  proofTreeEmpty: 'An empty state has no proofs: its root is 32 zero bytes.',
  headerInvalid:
    'A header is malformed (version 11, height above 0, hashes of 32 bytes, proposer address of 20 bytes).',
  commitInvalid:
    'A commit is malformed: every vote has flag, address, time and signature, an absent one only its flag.',
  validatorsInvalid:
    'A validator set is malformed: 1 to 1,000 different Ed25519 keys with powers above 0, sorted by power and address.',
  timeInvalid: 'A time is not RFC 3339 in UTC with up to nine decimals, without zeros at the end.',
  commitOtherBlock: 'The commit is for another block than the header: fetch both for the same height.',
  commitSignatureCount: 'The commit does not have one vote for each validator: fetch commit and validators again.',
  commitSignatureForeign: 'A vote of the commit is not by the validator at its place: do not trust the source.',
  commitSignatureInvalid: 'A signature of the commit does not verify: do not trust the source.',
  commitPowerMissing: 'Validators with two thirds of the power or less signed the block: it is not proven.',
  validatorsHashDiffers: 'The validators are not those that the header names: do not trust the source.',
  chainOther: 'The proof is of another chain than the trust anchor: use the anchor of its chain.',
  lightNotAdjacent: 'The block does not follow the trusted one directly: fetch the blocks in between.',
  lightHeight: 'The blocks are not in ascending order of height: sort them.',
  lightTime: 'A block is not later than the one before it: do not trust the source.',
  lightExpired: 'The trusting period of the trusted block has ended: obtain a new anchor from somebody you trust.',
  lightFuture: 'A block lies in the future: set the clock, or do not trust the source.',
  validatorsUntrusted:
    'The validators are not those that the anchor leads to: the proof lacks light blocks of a change of validators, or ' +
    'the anchor is of another network.',
  lightTrustMissing: 'Too little of the trusted power signed the block to skip to it: verify a block in between first.',
  lightTrustLevel: 'The trust level must be a fraction from 1/3 to 1 of positive integers.',
  lightPeriods:
    'The periods do not fit: the trusting period must be positive and shorter than the unbonding period, the clock ' +
    'drift must not be negative.',
  anchorInvalid: 'The trust anchor is not a salus-anchor/1: export it again from a node you trust.',
  anchorHeaderDiffers: 'The block at the height of the anchor is another one: do not trust the source.',
  anchorTooNew: 'The proof is older than the trust anchor: use an anchor from before it, such as that of genesis.',
  trustedVoteInvalid: 'A signature of a trusted validator does not verify: do not trust the source.',
  commitSignatureTwice: 'A validator votes twice in one commit: do not trust the source.',
  lightBackwards: 'The older header is not the one that the trusted block follows: do not trust the source.',
  lightFirstBlock:
    'The block is not the first one after the handover or genesis: state root, time or predecessor differ. Do not trust ' +
    'the source.',
  receiptTooLarge: 'The receipt is larger than 16 MiB: ask the node for it again.',
  receiptNotCanonical:
    'The file is not canonical JSON (RFC 8785): keep receipts byte for byte as the node returned them.',
  receiptMembers: 'The file is not a salus-receipt/1: a member is missing, superfluous or of the wrong kind.',
  receiptEmpty: 'The receipt proves nothing: it has neither a transaction nor a state proof.',
  receiptHeaderLink:
    'The header of the transaction is not the one that the signed header follows: the receipt is forged.',
  receiptTransactionProof: 'The transaction is not in the block: the receipt is forged or damaged.',
  receiptResultProof: 'The result is not that of a transaction of the block: the receipt is forged or damaged.',
  receiptResultPosition: 'The result belongs to another transaction of the block: the receipt is forged.',
  receiptResultData: 'The events and outputs are not those of the result: the receipt is forged or damaged.',
  receiptTransactionChain: 'The transaction was signed for another chain: the receipt is forged.',
  receiptStateProof: 'The state proof does not lead to the application hash: the receipt is forged or damaged.',
  receiptStateValue: 'The value is not the one that the state proof proves: the receipt is forged or damaged.',
  receiptTooOldHeight: 'The receipt proves a lower height than asked for: request a new one from a node.',
  receiptTooOldTime: 'The receipt proves an earlier time than asked for: request a new one from a node.',
  handoverTooLarge: 'The handover is larger than 2 MiB: ask for it again.',
  handoverForm:
    'The file is not a salus-handover/1 in canonical JSON (RFC 8785): keep it byte for byte as it was exported.',
  handoverLastBlock:
    'The last block before a handover must have no transactions and announce no change of validators: add an empty one.',
  handoverRoot: 'The handover names another state root than the last block: do not trust it.',
  handoverSignatureCount: 'The handover does not have one place for the signature of each last validator.',
  handoverSignatureInvalid: 'A signature of the handover does not verify: do not trust it.',
  handoverPowerMissing: 'Validators with two thirds of the power or less signed the handover: it hands nothing over.',
  handoverTime: 'The new chain must not begin before the time of the last block.',
  handoverHeight: 'The new chain must go on at the height after the last block.',
  handoverConflict:
    'Two different handovers are signed for the same height: the old validators hand the chain over twice. Trust ' +
    'neither, and show both to the members.',
  providerBlockMissing: 'The source does not have this block: ask another one.',
  providerSilent: 'The source does not answer: try again, or ask another one.',
  providerHeightTooHigh: 'The source has not come to this height yet: try again later, or ask another one.',
  providerBadBlock: 'The source gave a light block that does not agree with itself or with the question: leave it out.',
  lightWitnessesMissing: 'No witness is left to compare with: name others.',
  lightWitnessConflict: 'A witness has another block at the height where trust begins: check anchor and witnesses.',
  lightUnconfirmed: 'No witness confirmed the block: they are silent, behind, or were left out. Name others.',
  lightAttack:
    'An attack on the light client: two validly signed blocks exist for one height. Trust neither; the evidence names ' +
    'who signed both.',
  lightStoreDiffers:
    'The stored blocks do not agree with the trust anchor: remove them, or use the anchor they began at.',
  lightStoreForm: 'The file is not a salus-light-store/1: remove it, and verification begins again at the anchor.',
  evidenceForm: 'The evidence is malformed: a member is missing or of the wrong kind.',
  evidenceHeight: 'The common height of the evidence is not that of the common block, or lies above the conflict.',
  evidencePower: 'The evidence names another total power than the validators of the common block have.',
  evidenceNoConflict: 'The evidence shows no conflict: the block is the trusted one, or lies later in time.',
  evidenceDerived: 'The conflicting block has another state than the trusted one: its common height must be lower.',
  evidenceByzantine: 'The evidence names other validators than those who signed the conflicting block wrongly.',
};

/** code → name and what to do next; the continuation of `errors`. */
export const proofErrors: ReadonlyMap<number, { name: string; advice: string }> = new Map(
  Object.entries(ProofErrorCodes).map(([name, code]) => [code, { name, advice: ADVICE[name as ProofErrorName] }]),
);

/** The error of a name with the text of the table. */
export function proofError(name: ProofErrorName, options?: ErrorOptions): SalusError {
  return new SalusError(ProofErrorCodes[name], ADVICE[name], options);
}
