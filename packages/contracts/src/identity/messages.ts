import { type Static, type TLiteral, type TUnion, Type } from 'typebox';
import { check } from '../kernel/errors.ts';
import { endpointLengthMax, KeySpecSchema, nameLengthMax } from '../kernel/genesis.ts';
import {
  CodeSchema,
  CountSchema,
  DidSchema,
  DigestSchema,
  Id128Schema,
  KeyNameSchema,
  messageSchema,
  SlugSchema,
  TimeMsSchema,
} from '../kernel/schemas.ts';
import { identityErrors } from './errors.ts';
import { organisationRoles, practitionerRoles } from './state.ts';

export const keysPerMessageMax = 8;
export const rolesPerPractitionerMax = 8;

/** One of a closed list of codes. */
function oneOf<const T extends readonly string[]>(codes: T) {
  return Type.Unsafe<T[number]>(Type.Union(codes.map((code) => Type.Literal(code))) as TUnion<TLiteral<string>[]>);
}

const KeysSchema = Type.Array(KeySpecSchema, { minItems: 1, maxItems: keysPerMessageMax });
const NameSchema = Type.String({ minLength: 1, maxLength: nameLengthMax });
const EndpointSchema = Type.String({ maxLength: endpointLengthMax });
const RolesSchema = Type.Array(oneOf(practitionerRoles), { minItems: 1, maxItems: rolesPerPractitionerMax });

/** Signed by the organisation itself (with a key it carries) and by a regulator. */
export const RegisterOrganisationSchema = messageSchema('identity/registerOrganisation', {
  did: DidSchema,
  name: NameSchema,
  slug: SlugSchema,
  role: oneOf(organisationRoles),
  endpoint: EndpointSchema,
  keys: KeysSchema,
});
export type RegisterOrganisation = Static<typeof RegisterOrganisationSchema>;

/** Signed by the organisation itself. */
export const UpdateOrganisationSchema = messageSchema('identity/updateOrganisation', {
  name: Type.Optional(NameSchema),
  endpoint: Type.Optional(EndpointSchema),
});
export type UpdateOrganisation = Static<typeof UpdateOrganisationSchema>;

/** Signed by the organisation; a person appears under a DID of that organisation and role codes, never a name. */
export const RegisterPractitionerSchema = messageSchema('identity/registerPractitioner', {
  did: DidSchema,
  roles: RolesSchema,
  keys: Type.Optional(KeysSchema),
});
export type RegisterPractitioner = Static<typeof RegisterPractitionerSchema>;

/** Signed by the practitioner's organisation. */
export const SetRolesSchema = messageSchema('identity/setRoles', { practitioner: DidSchema, roles: RolesSchema });
export type SetRoles = Static<typeof SetRolesSchema>;

/** Signed by a regulator. */
export const SetLicenceSchema = messageSchema('identity/setLicence', {
  practitioner: DidSchema,
  profession: oneOf(practitionerRoles),
  status: oneOf(['active', 'suspended'] as const),
  untilMs: TimeMsSchema,
});
export type SetLicence = Static<typeof SetLicenceSchema>;

/** Signed by the custodian; with keys also by the patient's wallet (a key it carries). */
export const RegisterPatientSchema = messageSchema('identity/registerPatient', {
  did: DidSchema,
  keys: Type.Optional(KeysSchema),
  recoveryCommitment: Type.Optional(DigestSchema),
});
export type RegisterPatient = Static<typeof RegisterPatientSchema>;

/** Signed by the custodian and by the patient's wallet (a key it carries). */
export const BindPatientSchema = messageSchema('identity/bindPatient', {
  patient: DidSchema,
  keys: KeysSchema,
  recoveryCommitment: Type.Optional(DigestSchema),
});
export type BindPatient = Static<typeof BindPatientSchema>;

/** A person who acts for a patient. Signed by an organisation and by the person's wallet (a key it carries). */
export const RegisterDelegateSchema = messageSchema('identity/registerDelegate', { did: DidSchema, keys: KeysSchema });
export type RegisterDelegate = Static<typeof RegisterDelegateSchema>;

/** Signed by the owning organisation and by the device (a key it carries). */
export const RegisterDeviceSchema = messageSchema('identity/registerDevice', {
  did: DidSchema,
  model: CodeSchema,
  keys: KeysSchema,
});
export type RegisterDevice = Static<typeof RegisterDeviceSchema>;

/** Signed by whoever registered the participant; members of the consortium are suspended by vote only. */
export const SetStatusSchema = messageSchema('identity/setStatus', {
  participant: DidSchema,
  status: oneOf(['active', 'suspended', 'ended', 'deceased'] as const),
});
export type SetStatus = Static<typeof SetStatusSchema>;

/** Signed by the custodian of both (ADT A40). */
export const MergePatientsSchema = messageSchema('identity/mergePatients', { survivor: DidSchema, merged: DidSchema });
export type MergePatients = Static<typeof MergePatientsSchema>;

/** Signed by the custodian of both (ADT A37). */
export const UnmergePatientsSchema = messageSchema('identity/unmergePatients', {
  survivor: DidSchema,
  merged: DidSchema,
});
export type UnmergePatients = Static<typeof UnmergePatientsSchema>;

/** Signed by the participant, or by the organisation of a practitioner or device. Never by a patient's custodian. */
export const AddKeySchema = messageSchema('identity/addKey', { participant: DidSchema, key: KeySpecSchema });
export type AddKey = Static<typeof AddKeySchema>;

/** A new key in place of an old one, which ends at once or after an overlap. Signed like identity/addKey. */
export const RotateKeySchema = messageSchema('identity/rotateKey', {
  participant: DidSchema,
  name: KeyNameSchema,
  key: KeySpecSchema,
  oldUntilMs: Type.Optional(TimeMsSchema),
});
export type RotateKey = Static<typeof RotateKeySchema>;

/** Takes effect with the next transaction. Signed like identity/addKey. */
export const RevokeKeySchema = messageSchema('identity/revokeKey', {
  participant: DidSchema,
  name: KeyNameSchema,
  reason: oneOf(['lost', 'stolen', 'superseded', 'ended'] as const),
});
export type RevokeKey = Static<typeof RevokeKeySchema>;

const authorityProperties = {
  patient: DidSchema,
  authority: Id128Schema,
  /** A DID, or blinded by the patient's key where the holder need not sign on the ledger. */
  holder: Type.Union([DidSchema, Id128Schema]),
  commitment: DigestSchema,
  /** A multiple of 30 days. */
  expiresMs: TimeMsSchema,
};

/** A delegation. Signed by the patient. */
export const GrantAuthoritySchema = messageSchema('identity/grantAuthority', authorityProperties);
export type GrantAuthority = Static<typeof GrantAuthoritySchema>;

/** Parent, court guardian, executor …: signed by the patient's custodian or a regulator who saw the proof. */
export const AttestAuthoritySchema = messageSchema('identity/attestAuthority', authorityProperties);
export type AttestAuthority = Static<typeof AttestAuthoritySchema>;

/** Signed by who granted or attested it, or by the holder who renounces it. */
export const RevokeAuthoritySchema = messageSchema('identity/revokeAuthority', {
  patient: DidSchema,
  authority: Id128Schema,
});
export type RevokeAuthority = Static<typeof RevokeAuthoritySchema>;

/**
 * Binds an external identifier, blinded with the custodian's own key, to a patient of that custodian. When another
 * patient has it already nothing is bound: a case of duplicate identity is opened. Signed by the custodian.
 */
export const BindIdentifierSchema = messageSchema('identity/bindIdentifier', { patient: DidSchema, tag: Id128Schema });
export type BindIdentifier = Static<typeof BindIdentifierSchema>;

export const casePatientsMax = 4;
const caseKinds = [
  'duplicateIdentity',
  'revokedKeyUsed',
  'activityAfterDeath',
  'secondWallet',
  'suspectedTheft',
  'other',
] as const;

/** Signed by the custodian, or by the patient concerned. */
export const OpenCaseSchema = messageSchema('identity/openCase', {
  kind: oneOf(caseKinds),
  patients: Type.Array(DidSchema, { minItems: 1, maxItems: casePatientsMax }),
  evidence: Type.Optional(DigestSchema),
});
export type OpenCase = Static<typeof OpenCaseSchema>;

/** Signed by the custodian. */
export const CloseCaseSchema = messageSchema('identity/closeCase', { number: CountSchema, outcome: CodeSchema });
export type CloseCase = Static<typeof CloseCaseSchema>;

type WithKeys = { keys?: { name: string }[] };

/** Names of keys are told apart before anything touches state. */
export function checkKeyNames({ keys = [] }: WithKeys): void {
  check(new Set(keys.map((key) => key.name)).size === keys.length, identityErrors.sameTwice);
}

export function checkRoles({ roles, ...rest }: { roles: string[] } & WithKeys): void {
  check(new Set(roles).size === roles.length, identityErrors.sameTwice);
  checkKeyNames(rest);
}

export function checkCasePatients({ patients }: { patients: string[] }): void {
  check(new Set(patients).size === patients.length, identityErrors.sameTwice);
}

export const reservedMessages = [
  'identity/setGuardians',
  'identity/startRecovery',
  'identity/vetoRecovery',
  'identity/completeRecovery',
  'identity/registerAlias',
  'identity/resolveAlias',
  'identity/issueCredential',
  'identity/setCredentialStatus',
] as const;
