import type { Did, Message } from '@salus/protocol';
import { kernelErrors } from '../kernel/errors.ts';
import type { KeySpec } from '../kernel/genesis.ts';
import { listCount, listEntries } from '../kernel/lists.ts';
import type { BlockContext, KeyRefusal, ResolvedKey, StateReader } from '../kernel/types.ts';
import {
  type AuthorityEntry,
  authorityIndexKey,
  authorityPrefix,
  type CaseEntry,
  casePrefix,
  getKey,
  getParticipant,
  identifierKey,
  type KeyEntry,
  keysPrefix,
  type Organisation,
  type Participant,
  type Patient,
  type Practitioner,
  slugKey,
  thumbprintOf,
} from './state.ts';

export function participant(reader: StateReader, did: Did): Participant | undefined {
  return getParticipant(reader, did);
}

export function organisation(reader: StateReader, did: Did): Organisation | undefined {
  const found = getParticipant(reader, did);
  return found?.kind === 'organisation' ? found : undefined;
}

export function practitioner(reader: StateReader, did: Did): Practitioner | undefined {
  const found = getParticipant(reader, did);
  return found?.kind === 'practitioner' ? found : undefined;
}

export function patient(reader: StateReader, did: Did): Patient | undefined {
  const found = getParticipant(reader, did);
  return found?.kind === 'patient' ? found : undefined;
}

export function isActive(reader: StateReader, did: Did): boolean {
  return getParticipant(reader, did)?.status === 'active';
}

export function isActiveOrganisation(reader: StateReader, did: Did): boolean {
  return organisation(reader, did)?.status === 'active';
}

/** Active, and not suspended by the consortium (governance), which ends by itself at its time. */
export function isInStanding(found: Organisation | undefined, nowMs: number): boolean {
  return found?.status === 'active' && (found.suspendedUntilMs ?? 0) <= nowMs;
}

export function isRegulator(reader: StateReader, did: Did): boolean {
  const found = organisation(reader, did);
  return found?.status === 'active' && found.role === 'regulator';
}

export function organisationBySlug(reader: StateReader, slug: string): Did | undefined {
  return reader.get<Did>(slugKey(slug));
}

/** The custodian (or pharmacy, payer, study) in whose context this pseudonym stands. */
export function custodianOf(reader: StateReader, patientDid: Did): Did | undefined {
  return patient(reader, patientDid)?.registeredBy;
}

/** The organisation that answers for a participant: itself, or the one that registered it. */
export function organisationOf(reader: StateReader, did: Did): Did | undefined {
  const found = getParticipant(reader, did);
  if (!found) return undefined;
  return found.kind === 'organisation' ? did : found.registeredBy;
}

/** The patient under whose pseudonym records count now: itself, or the one it was merged into. */
export function currentPatient(reader: StateReader, did: Did): Did {
  return patient(reader, did)?.mergedInto ?? did;
}

/** Active practitioner of an active organisation, with a licence of a regulator that has not run out. */
export function isLicensed(reader: StateReader, did: Did, nowMs: number): boolean {
  const found = practitioner(reader, did);
  if (found?.status !== 'active' || !isInStanding(organisation(reader, found.registeredBy), nowMs)) return false;
  const { licence } = found;
  return licence?.status === 'active' && licence.untilMs > nowMs && found.roles.includes(licence.profession);
}

export function isKeyActive(key: KeyEntry, nowMs: number): boolean {
  return key.revokedMs === undefined && (key.expiresMs === undefined || key.expiresMs > nowMs);
}

export function key(reader: StateReader, did: Did, name: string): KeyEntry | undefined {
  return getKey(reader, did, name);
}

export type NamedKey = KeyEntry & { name: string };

/** All keys a participant ever had, in the order of registration. */
export function keysOf(reader: StateReader, did: Did): NamedKey[] {
  const keys: NamedKey[] = [];
  for (const [, name] of listEntries<string>(reader, keysPrefix, did)) {
    const entry = getKey(reader, did, name);
    if (entry) keys.push({ ...entry, name });
  }
  return keys;
}

/** Keys to use now for a purpose, the newest first. */
export function activeKeys(reader: StateReader, did: Did, purpose: KeySpec['purpose'], nowMs: number): NamedKey[] {
  return keysOf(reader, did)
    .filter((entry) => entry.purpose === purpose && isKeyActive(entry, nowMs))
    .reverse();
}

/** All authorities over a patient, in the order of granting; ended ones included. */
export function authoritiesOf(reader: StateReader, patientDid: Did): AuthorityEntry[] {
  return [...listEntries<AuthorityEntry>(reader, authorityPrefix, patientDid)].map(([, entry]) => entry);
}

export function authorityNumber(reader: StateReader, patientDid: Did, authority: string): number | undefined {
  return reader.get<number>(authorityIndexKey(patientDid, authority));
}

export function authority(reader: StateReader, patientDid: Did, id: string): AuthorityEntry | undefined {
  const n = authorityNumber(reader, patientDid, id);
  return n === undefined ? undefined : reader.get<AuthorityEntry>(`${authorityPrefix}/${patientDid}/${n}`);
}

/** In force as far as the ledger knows; scope and exact dates are sealed and for the gate to evaluate. */
export function isAuthorityActive(entry: AuthorityEntry, nowMs: number): boolean {
  return entry.revokedMs === undefined && entry.expiresMs > nowMs;
}

/**
 * Whether `signer` may act for the patient under this authority as far as the ledger can tell. When the patient has
 * died, what the patient gave ends; an executor is attested by the custodian or a regulator.
 */
export function mayActFor(reader: StateReader, signer: Did, patientDid: Did, id: string, nowMs: number): boolean {
  const entry = authority(reader, patientDid, id);
  const subject = patient(reader, patientDid);
  if (!entry || !subject || entry.holder !== signer || !isActive(reader, signer)) return false;
  if (subject.status === 'deceased' && entry.basis === 'patient') return false;
  return isAuthorityActive(entry, nowMs);
}

export function cases(reader: StateReader, custodian: Did): CaseEntry[] {
  return [...listEntries<CaseEntry>(reader, casePrefix, custodian)].map(([, entry]) => entry);
}

export function caseCount(reader: StateReader, custodian: Did): number {
  return listCount(reader, casePrefix, custodian);
}

/** The patient whom this custodian bound to a blinded external identifier. */
export function patientByIdentifier(reader: StateReader, custodian: Did, tag: string): Did | undefined {
  return reader.get<Did>(identifierKey(custodian, tag));
}

/** Messages whose new participant signs with a key that the message itself carries. */
const CARRYING: Readonly<Record<string, string>> = {
  'identity/registerOrganisation': 'did',
  'identity/registerPractitioner': 'did',
  'identity/registerPatient': 'did',
  'identity/registerDelegate': 'did',
  'identity/registerDevice': 'did',
  'identity/bindPatient': 'patient',
};

/** A key carried by a message that will register it or refuse the whole transaction. */
function carriedKey(did: Did, keyName: string, messages: readonly Message[]): ResolvedKey | undefined {
  for (const message of messages) {
    const member = CARRYING[message.type];
    if (member === undefined || message[member] !== did || !Array.isArray(message.keys)) continue;
    const specs = message.keys as unknown as KeySpec[];
    const spec = specs.find((candidate) => candidate?.name === keyName);
    if (spec?.purpose === 'sign') return { jwk: spec.jwk, thumbprint: thumbprintOf(spec.jwk) };
  }
  return undefined;
}

/** What may sign: an active key of purpose `sign` of an active participant, or the first key of one without keys. */
export function resolveSigningKey(
  reader: StateReader,
  did: Did,
  keyName: string,
  messages: readonly Message[],
  context: BlockContext | undefined,
): ResolvedKey | KeyRefusal {
  const found = getParticipant(reader, did);
  const hasKeys = found !== undefined && listCount(reader, keysPrefix, did) > 0;
  if (!hasKeys) return carriedKey(did, keyName, messages) ?? { error: kernelErrors.signerUnknown };
  if (context && !maySign(reader, found, context.blockTimeMs)) return { error: kernelErrors.signerSuspended };
  const entry = getKey(reader, did, keyName);
  if (!entry) return { error: kernelErrors.signerUnknown };
  const isInForce = !context || isKeyActive(entry, context.blockTimeMs);
  if (entry.purpose !== 'sign' || entry.jwk.crv !== 'P-256' || !isInForce) {
    return { error: kernelErrors.signerNotActive };
  }
  return { jwk: entry.jwk, thumbprint: entry.thumbprint };
}

/** Active, and in standing: an organisation itself, of staff and devices the one that registered them. */
function maySign(reader: StateReader, found: Participant, nowMs: number): boolean {
  if (found.status !== 'active') return false;
  if (found.kind === 'organisation') return isInStanding(found, nowMs);
  const isStaff = found.kind === 'practitioner' || found.kind === 'device';
  return !isStaff || isInStanding(organisation(reader, found.registeredBy), nowMs);
}
