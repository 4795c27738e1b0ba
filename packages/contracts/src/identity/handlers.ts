import { type CborValue, type Did, didOfKey, type EcPublicJwk } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { GenesisDocument, KeySpec } from '../kernel/genesis.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { identityErrors } from './errors.ts';
import type {
  BindPatient,
  MergePatients,
  RegisterDelegate,
  RegisterDevice,
  RegisterOrganisation,
  RegisterPatient,
  RegisterPractitioner,
  SetLicence,
  SetRoles,
  SetStatus,
  UnmergePatients,
  UpdateOrganisation,
} from './messages.ts';
import { isActiveOrganisation, isRegulator, organisation, patient, practitioner } from './queries.ts';
import {
  addKeyTo,
  getParticipant,
  type Organisation,
  type OrganisationRole,
  organisationRoles,
  type Participant,
  type ParticipantStatus,
  type Patient,
  putParticipant,
  slugKey,
} from './state.ts';

type Base = { status: 'active'; registeredBy: Did; registeredMs: number; registeredHeight: number };

function newParticipant(registeredBy: Did, context: TransactionContext): Base {
  return {
    status: 'active',
    registeredBy,
    registeredMs: context.blockTimeMs,
    registeredHeight: context.height,
  };
}

/** The organisation among the signers that is not the participant itself. */
function registrar(state: ContractState, context: TransactionContext): Did {
  const found = context.signers.find((signer) => organisation(state, signer) !== undefined);
  if (found === undefined) refuse(identityErrors.notAnOrganisation);
  check(isActiveOrganisation(state, found), identityErrors.organisationNotActive);
  return found;
}

function checkNew(state: ContractState, did: Did): void {
  check(getParticipant(state, did) === undefined, identityErrors.participantExists);
}

/** The participant that is created together with its first signing key is named by it (ADR 1). */
function checkDidOfKeys(did: Did, keys: readonly KeySpec[]): void {
  const first = keys.find((key) => key.purpose === 'sign');
  if (!first) refuse(identityErrors.signKeyNeeded);
  check(didOfKey(first.jwk as EcPublicJwk) === did, identityErrors.didNotOfKey);
}

function checkOwnSignature(did: Did, context: TransactionContext): void {
  check(context.signers.includes(did), identityErrors.ownSignatureNeeded);
}

function addKeys(state: ContractState, did: Did, keys: readonly KeySpec[], context: TransactionContext): void {
  for (const key of keys) addKeyTo(state, did, key, context);
}

export function registerOrganisation(
  state: ContractState,
  message: RegisterOrganisation,
  context: TransactionContext,
): void {
  const { did, name, slug, role, endpoint, keys } = message;
  checkNew(state, did);
  const regulator = context.signers.find((signer) => isRegulator(state, signer));
  if (regulator === undefined) refuse(identityErrors.regulatorNeeded);
  checkDidOfKeys(did, keys);
  checkOwnSignature(did, context);
  check(state.get(slugKey(slug)) === undefined, identityErrors.slugTaken);
  const base = newParticipant(regulator, context);
  putParticipant(state, did, { ...base, kind: 'organisation', name, slug, role, endpoint });
  state.put(slugKey(slug), did);
  addKeys(state, did, keys, context);
  state.emit('OrganisationRegistered', { participant: did, by: regulator, role });
}

export function updateOrganisation(
  state: ContractState,
  message: UpdateOrganisation,
  context: TransactionContext,
): void {
  const existing = organisation(state, context.sender);
  if (!existing) refuse(identityErrors.notAnOrganisation);
  const { name = existing.name, endpoint = existing.endpoint } = message;
  putParticipant(state, context.sender, { ...existing, name, endpoint });
  state.emit('OrganisationUpdated', { participant: context.sender });
}

export function registerPractitioner(
  state: ContractState,
  { did, roles, keys = [] }: RegisterPractitioner,
  context: TransactionContext,
): void {
  const by = registrar(state, context);
  checkNew(state, did);
  putParticipant(state, did, { ...newParticipant(by, context), kind: 'practitioner', roles });
  addKeys(state, did, keys, context);
  state.emit('PractitionerRegistered', { participant: did, by });
}

export function setRoles(state: ContractState, message: SetRoles, context: TransactionContext): void {
  const existing = practitioner(state, message.practitioner);
  if (!existing) refuse(identityErrors.notAPractitioner);
  check(existing.registeredBy === registrar(state, context), identityErrors.notResponsible);
  putParticipant(state, message.practitioner, { ...existing, roles: message.roles });
  state.emit('RolesSet', { participant: message.practitioner, by: existing.registeredBy });
}

export function setLicence(state: ContractState, message: SetLicence, context: TransactionContext): void {
  const { practitioner: did, profession, status, untilMs } = message;
  check(isRegulator(state, context.sender), identityErrors.regulatorNeeded);
  const existing = practitioner(state, did);
  if (!existing) refuse(identityErrors.notAPractitioner);
  check(status === 'suspended' || untilMs > context.blockTimeMs, identityErrors.licenceExpiryPast);
  putParticipant(state, did, { ...existing, licence: { by: context.sender, profession, status, untilMs } });
  state.emit('LicenceSet', { participant: did, by: context.sender, profession, status, untilMs });
}

export function registerPatient(
  state: ContractState,
  { did, keys = [], recoveryCommitment }: RegisterPatient,
  context: TransactionContext,
): void {
  const by = registrar(state, context);
  checkNew(state, did);
  const bound = keys.length > 0;
  if (bound) {
    checkDidOfKeys(did, keys);
    checkOwnSignature(did, context);
  }
  const base: Patient = { ...newParticipant(by, context), kind: 'patient', bound };
  putParticipant(state, did, recoveryCommitment === undefined ? base : { ...base, recoveryCommitment });
  addKeys(state, did, keys, context);
  state.emit('PatientRegistered', { participant: did, by, bound: bound ? 1 : 0 });
}

/** Puts a wallet's keys in place for a patient whom a custodian registered before there was a wallet. */
export function bindPatient(state: ContractState, message: BindPatient, context: TransactionContext): void {
  const { patient: did, keys, recoveryCommitment } = message;
  const existing = patient(state, did);
  if (!existing) refuse(identityErrors.notAPatient);
  check(existing.registeredBy === registrar(state, context), identityErrors.notAPatient);
  check(!existing.bound, identityErrors.patientBound);
  check(existing.status === 'active', identityErrors.statusNotAllowed);
  check(
    keys.some((key) => key.purpose === 'sign'),
    identityErrors.signKeyNeeded,
  );
  checkOwnSignature(did, context);
  const bound: Patient = { ...existing, bound: true };
  putParticipant(state, did, recoveryCommitment === undefined ? bound : { ...bound, recoveryCommitment });
  addKeys(state, did, keys, context);
  state.emit('PatientBound', { participant: did, by: existing.registeredBy });
}

export function registerDelegate(
  state: ContractState,
  { did, keys }: RegisterDelegate,
  context: TransactionContext,
): void {
  const by = registrar(state, context);
  checkNew(state, did);
  checkDidOfKeys(did, keys);
  checkOwnSignature(did, context);
  putParticipant(state, did, { ...newParticipant(by, context), kind: 'delegate' });
  addKeys(state, did, keys, context);
  state.emit('DelegateRegistered', { participant: did, by });
}

export function registerDevice(
  state: ContractState,
  { did, model, keys }: RegisterDevice,
  context: TransactionContext,
): void {
  const by = registrar(state, context);
  checkNew(state, did);
  checkDidOfKeys(did, keys);
  checkOwnSignature(did, context);
  putParticipant(state, did, { ...newParticipant(by, context), kind: 'device', model });
  addKeys(state, did, keys, context);
  state.emit('DeviceRegistered', { participant: did, by, model });
}

/** `ended` is final; only patients die, and a death that was recorded in error is taken back. */
const NEXT_STATUS: Readonly<Record<ParticipantStatus, readonly ParticipantStatus[]>> = {
  active: ['suspended', 'ended', 'deceased'],
  suspended: ['active', 'ended', 'deceased'],
  deceased: ['active'],
  ended: [],
};

export function setStatus(state: ContractState, message: SetStatus, context: TransactionContext): void {
  const { participant: did, status } = message;
  const existing = getParticipant(state, did);
  if (!existing) refuse(identityErrors.participantUnknown);
  // A member of the consortium is suspended by votes of several classes only (governance), never by one party.
  const isMember = existing.kind === 'organisation' && existing.member === true;
  check(existing.registeredBy !== did && !isMember, identityErrors.statusByVote);
  check(existing.registeredBy === registrar(state, context), identityErrors.notResponsible);
  check(existing.status !== status, identityErrors.statusUnchanged);
  check(NEXT_STATUS[existing.status].includes(status), identityErrors.statusNotAllowed);
  check(status !== 'deceased' || existing.kind === 'patient', identityErrors.statusNotAllowed);
  putParticipant(state, did, { ...existing, status } as Participant);
  state.emit('StatusSet', { participant: did, by: context.sender, status });
}

function patientsOfRegistrar(
  state: ContractState,
  { survivor, merged }: MergePatients | UnmergePatients,
  context: TransactionContext,
): { survivor: Patient; merged: Patient; custodian: Did } {
  const custodian = registrar(state, context);
  const found = { survivor: patient(state, survivor), merged: patient(state, merged) };
  const { survivor: first, merged: second } = found;
  if (!first || !second || survivor === merged) refuse(identityErrors.patientsDiffer);
  check(first.registeredBy === custodian && second.registeredBy === custodian, identityErrors.notAPatient);
  return { survivor: first, merged: second, custodian };
}

/** Both keep their DID, keys, directives and receipts; queries lead from the merged one to the survivor. */
export function mergePatients(state: ContractState, message: MergePatients, context: TransactionContext): void {
  const found = patientsOfRegistrar(state, message, context);
  const isFree = found.merged.mergedInto === undefined && found.survivor.mergedInto === undefined;
  check(isFree, identityErrors.patientsDiffer);
  putParticipant(state, message.merged, { ...found.merged, mergedInto: message.survivor });
  state.emit('PatientsMerged', { participant: message.merged, survivor: message.survivor, by: found.custodian });
}

export function unmergePatients(state: ContractState, message: UnmergePatients, context: TransactionContext): void {
  const found = patientsOfRegistrar(state, message, context);
  check(found.merged.mergedInto === message.survivor, identityErrors.notMerged);
  const { mergedInto: _, ...apart } = found.merged;
  putParticipant(state, message.merged, apart);
  state.emit('PatientsUnmerged', { participant: message.merged, survivor: message.survivor, by: found.custodian });
}

/**
 * Operation of governance: [organisation, whether it is a member of the consortium, suspended until]. A suspension of 0
 * is none. The caller has checked that the organisation is there.
 */
export function setStanding(state: ContractState, argument: CborValue, _: TransactionContext): CborValue {
  const [did, isMember, suspendedUntilMs] = argument as [Did, boolean, number];
  const existing = organisation(state, did);
  if (!existing) refuse(identityErrors.notAnOrganisation);
  const { member: _member, suspendedUntilMs: _until, ...rest } = existing;
  const standing = { ...(isMember && { member: true }), ...(suspendedUntilMs > 0 && { suspendedUntilMs }) };
  putParticipant(state, did, { ...rest, ...standing });
  return true;
}

function isOrganisationRole(role: string): role is OrganisationRole {
  return organisationRoles.some((known) => known === role);
}

/** The founding organisations. Throws on a document that contradicts itself. */
export function identityGenesis(state: ContractState, document: GenesisDocument, context: TransactionContext): void {
  for (const { did, name, slug, role, keys, endpoint } of document.members) {
    checkNew(state, did);
    checkDidOfKeys(did, keys);
    check(state.get(slugKey(slug)) === undefined, identityErrors.slugTaken);
    if (!isOrganisationRole(role)) throw new TypeError(`genesis: ${role} is no role of an organisation`);
    const founder: Organisation = { ...newParticipant(did, context), kind: 'organisation', name, slug, role, endpoint };
    putParticipant(state, did, founder);
    state.put(slugKey(slug), did);
    addKeys(state, did, keys, context);
  }
}
