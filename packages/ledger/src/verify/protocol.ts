import type { EcPublicJwk, Payload } from '@salus/protocol';

/** Main thread → worker. Transactions lie one behind the other in one buffer that moves over. */
export type VerifyRequest = { kind: 'verify'; batch: number; bytes: ArrayBuffer; lengths: Uint32Array };
export type KeysAnswer = { kind: 'keys'; batch: number; keys: (KeyAnswer | undefined)[] };
export type FoundKey = { jwk: EcPublicJwk; thumbprint: string };
/**
 * `isRegistered`: stands in state, so that the worker may keep it; a key that its own message registers may not.
 * `carried`: another one that the message has, where the signature is not by the first.
 */
export type KeyAnswer = (FoundKey & { isRegistered: boolean; carried?: FoundKey }) | { code: number; log: string };
export type ToWorker = VerifyRequest | KeysAnswer;

/** Worker → main thread. */
export type KeysRequest = { kind: 'keys'; batch: number; wanted: { kid: string; payload: Payload }[] };
/**
 * One JSON text for the whole batch: parsing it costs the main thread a tenth of a structured clone of the objects.
 * Hashes follow separately, 32 bytes each.
 */
export type VerifyAnswer = { kind: 'verified'; batch: number; hashes: ArrayBuffer; outcomes: string };
export type FromWorker = KeysRequest | VerifyAnswer;

export type Outcome = Verified | Refused;
/** `isLasting`: under registered keys alone, which never change; what is good under a carried key may be so under another later. */
export type Verified = { chain: string; payload: Payload; kids: string[]; keys: string[]; isLasting: boolean };
export type Refused = { code: number; log: string };
