import { type Did, type EcPublicJwk, jwkThumbprint, parsePublicJwk, sha256, toBase64url, utf8 } from '@salus/protocol';
import type { Static } from 'typebox';
import { check } from '../kernel/errors.ts';
import type { EcJwk384Schema, KeySpec } from '../kernel/genesis.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, StateReader, TransactionContext } from '../kernel/types.ts';
import { identityErrors } from './errors.ts';

export const keysPerParticipantMax = 256;

export const organisationRoles = [
  'hospital',
  'clinic',
  'laboratory',
  'pharmacy',
  'payer',
  'manufacturer',
  'distributor',
  'research',
  'regulator',
  'publicHealth',
  'patientRepresentatives',
] as const;
export type OrganisationRole = (typeof organisationRoles)[number];

export const practitionerRoles = [
  'doctor',
  'nurse',
  'midwife',
  'pharmacist',
  'therapist',
  'technician',
  'paramedic',
  'clerk',
  'officer',
  'caseManager',
  'researcher',
  'adjudicator',
  'inspector',
  'administrator',
] as const;
export type PractitionerRole = (typeof practitionerRoles)[number];

export type ParticipantStatus = 'active' | 'suspended' | 'ended' | 'deceased';

type Common = { status: ParticipantStatus; registeredBy: Did; registeredMs: number; registeredHeight: number };
export type Organisation = Common & {
  kind: 'organisation';
  name: string;
  slug: string;
  role: OrganisationRole;
  endpoint: string;
  /** Admitted to the consortium by vote; founders are known by having registered themselves. */
  member?: boolean;
  /** Set by governance: until this block time neither the organisation nor its staff and devices sign. */
  suspendedUntilMs?: number;
};
/** Set by a regulator; `untilMs` is judged by block time. */
export type Licence = { by: Did; profession: PractitionerRole; status: 'active' | 'suspended'; untilMs: number };
export type Practitioner = Common & { kind: 'practitioner'; roles: PractitionerRole[]; licence?: Licence };
export type Patient = Common & {
  kind: 'patient';
  /** Whether a wallet's keys are in place. */
  bound: boolean;
  /** Commitment to a key that recovers this context (protocol, pseudonyms). */
  recoveryCommitment?: string;
  /** ADT A40: this pseudonym's records count as those of another one, until unmerged. */
  mergedInto?: Did;
};
export type Delegate = Common & { kind: 'delegate' };
export type Device = Common & { kind: 'device'; model: string };
export type Participant = Organisation | Practitioner | Patient | Delegate | Device;

export type Ec384PublicJwk = Static<typeof EcJwk384Schema>;
export type KeyEntry = {
  purpose: KeySpec['purpose'];
  suite: KeySpec['suite'];
  jwk: EcPublicJwk | Ec384PublicJwk;
  thumbprint: string;
  addedMs: number;
  addedHeight: number;
  expiresMs?: number;
  revokedMs?: number;
  revokedHeight?: number;
};

export type AuthorityBasis = 'patient' | 'custodian' | 'regulator';
/** What the ledger knows of an authority; its kind, scope and dates are sealed (authority-content.ts). */
export type AuthorityEntry = {
  authority: string;
  /** A DID, or a value blinded by the patient's key. */
  holder: string;
  /** Commitment to the AuthorityContent. */
  commitment: string;
  /** Coarse; the exact end is sealed and evaluated by the gate. */
  expiresMs: number;
  basis: AuthorityBasis;
  by: Did;
  grantedMs: number;
  grantedHeight: number;
  revokedMs?: number;
  revokedBy?: Did;
};

export type CaseKind =
  | 'duplicateIdentity'
  | 'revokedKeyUsed'
  | 'activityAfterDeath'
  | 'secondWallet'
  | 'suspectedTheft'
  | 'other';
export type CaseEntry = {
  kind: CaseKind;
  patients: Did[];
  openedBy: Did;
  openedMs: number;
  evidence?: string;
  closedMs?: number;
  outcome?: string;
};

export const keysPrefix = 'identity/keys';
export const authorityPrefix = 'identity/authority';
export const casePrefix = 'identity/case';

export const participantKey = (did: Did): string => `identity/participant/${did}`;
export const keyKey = (did: Did, name: string): string => `identity/key/${did}/${name}`;
export const thumbprintKey = (did: Did, thumbprint: string): string => `identity/thumbprint/${did}/${thumbprint}`;
export const slugKey = (slug: string): string => `identity/slug/${slug}`;
export const authorityIndexKey = (patient: Did, authority: string): string =>
  `identity/authorityIndex/${patient}/${authority}`;
export const identifierKey = (custodian: Did, tag: string): string => `identity/identifier/${custodian}/${tag}`;

export function getParticipant(reader: StateReader, did: Did): Participant | undefined {
  return reader.get<Participant>(participantKey(did));
}

export function putParticipant(state: ContractState, did: Did, participant: Participant): void {
  state.put(participantKey(did), participant);
}

export function getKey(reader: StateReader, did: Did, name: string): KeyEntry | undefined {
  return reader.get<KeyEntry>(keyKey(did, name));
}

export function putKey(state: ContractState, did: Did, name: string, key: KeyEntry): void {
  state.put(keyKey(did, name), key);
}

/** RFC 7638 for both curves. */
export function thumbprintOf(jwk: EcPublicJwk | Ec384PublicJwk): string {
  if (jwk.crv === 'P-256') return jwkThumbprint(jwk);
  return toBase64url(sha256(utf8(`{"crv":"P-384","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`)));
}

/** P-256 keys must be points of the curve; P-384 keys are judged by whoever verifies a token with them. */
function checkPoint(jwk: EcPublicJwk | Ec384PublicJwk): void {
  if (jwk.crv !== 'P-256') return;
  try {
    parsePublicJwk(jwk);
  } catch {
    check(false, identityErrors.keyInvalid);
  }
}

/** Cost units of checking that a point is on the curve. */
const pointCost = 30;

/** Registers a key under a name that this participant never used, with material that it never used. */
export function addKeyTo(state: ContractState, did: Did, spec: KeySpec, context: TransactionContext): KeyEntry {
  const { name, purpose, suite, jwk, expiresMs } = spec;
  check(getKey(state, did, name) === undefined, identityErrors.keyNameTaken);
  check(expiresMs === undefined || expiresMs > context.blockTimeMs, identityErrors.keyExpiryPast);
  check(listCount(state, keysPrefix, did) < keysPerParticipantMax, identityErrors.keysTooMany);
  state.charge(pointCost);
  checkPoint(jwk);
  const thumbprint = thumbprintOf(jwk);
  check(state.get(thumbprintKey(did, thumbprint)) === undefined, identityErrors.keyTaken);
  const base = { purpose, suite, jwk, thumbprint, addedMs: context.blockTimeMs, addedHeight: context.height };
  const entry: KeyEntry = expiresMs === undefined ? base : { ...base, expiresMs };
  putKey(state, did, name, entry);
  state.put(thumbprintKey(did, thumbprint), name);
  listAppend(state, keysPrefix, did, name);
  return entry;
}
