import { type Contract, defineMessage } from '../kernel/types.ts';
import { attestAuthority, grantAuthority, revokeAuthority } from './authority-handlers.ts';
import { bindIdentifier, closeCase, openCase } from './case-handlers.ts';
import { identityErrors } from './errors.ts';
import * as handlers from './handlers.ts';
import { identityInvariants } from './invariants.ts';
import { addKey, revokeKey, rotateKey } from './key-handlers.ts';
import * as messages from './messages.ts';
import { resolveSigningKey } from './queries.ts';

const cost = 10;
const { checkKeyNames, checkRoles, checkCasePatients } = messages;

export const identityContract: Contract = {
  name: 'identity',
  number: 2,
  messages: {
    'identity/registerOrganisation': defineMessage({
      schema: messages.RegisterOrganisationSchema,
      cost,
      check: checkKeyNames,
      handle: handlers.registerOrganisation,
    }),
    'identity/updateOrganisation': defineMessage({
      schema: messages.UpdateOrganisationSchema,
      cost,
      handle: handlers.updateOrganisation,
    }),
    'identity/registerPractitioner': defineMessage({
      schema: messages.RegisterPractitionerSchema,
      cost,
      check: checkRoles,
      handle: handlers.registerPractitioner,
    }),
    'identity/setRoles': defineMessage({
      schema: messages.SetRolesSchema,
      cost,
      check: checkRoles,
      handle: handlers.setRoles,
    }),
    'identity/setLicence': defineMessage({ schema: messages.SetLicenceSchema, cost, handle: handlers.setLicence }),
    'identity/registerPatient': defineMessage({
      schema: messages.RegisterPatientSchema,
      cost,
      check: checkKeyNames,
      handle: handlers.registerPatient,
    }),
    'identity/bindPatient': defineMessage({
      schema: messages.BindPatientSchema,
      cost,
      check: checkKeyNames,
      handle: handlers.bindPatient,
    }),
    'identity/registerDelegate': defineMessage({
      schema: messages.RegisterDelegateSchema,
      cost,
      check: checkKeyNames,
      handle: handlers.registerDelegate,
    }),
    'identity/registerDevice': defineMessage({
      schema: messages.RegisterDeviceSchema,
      cost,
      check: checkKeyNames,
      handle: handlers.registerDevice,
    }),
    'identity/setStatus': defineMessage({ schema: messages.SetStatusSchema, cost, handle: handlers.setStatus }),
    'identity/mergePatients': defineMessage({
      schema: messages.MergePatientsSchema,
      cost,
      handle: handlers.mergePatients,
    }),
    'identity/unmergePatients': defineMessage({
      schema: messages.UnmergePatientsSchema,
      cost,
      handle: handlers.unmergePatients,
    }),
    'identity/addKey': defineMessage({ schema: messages.AddKeySchema, cost, handle: addKey }),
    'identity/rotateKey': defineMessage({ schema: messages.RotateKeySchema, cost, handle: rotateKey }),
    'identity/revokeKey': defineMessage({ schema: messages.RevokeKeySchema, cost, handle: revokeKey }),
    'identity/grantAuthority': defineMessage({ schema: messages.GrantAuthoritySchema, cost, handle: grantAuthority }),
    'identity/attestAuthority': defineMessage({
      schema: messages.AttestAuthoritySchema,
      cost,
      handle: attestAuthority,
    }),
    'identity/revokeAuthority': defineMessage({
      schema: messages.RevokeAuthoritySchema,
      cost,
      handle: revokeAuthority,
    }),
    'identity/bindIdentifier': defineMessage({ schema: messages.BindIdentifierSchema, cost, handle: bindIdentifier }),
    'identity/openCase': defineMessage({
      schema: messages.OpenCaseSchema,
      cost,
      check: checkCasePatients,
      handle: openCase,
    }),
    'identity/closeCase': defineMessage({ schema: messages.CloseCaseSchema, cost, handle: closeCase }),
  },
  reserved: messages.reservedMessages,
  errors: identityErrors,
  invariants: identityInvariants,
  operations: { setStanding: handlers.setStanding },
  genesis: handlers.identityGenesis,
  resolveKey: resolveSigningKey,
};

export * from './authority-content.ts';
export { authorityDurationMsMax, authorityExpiryStepMs } from './authority-handlers.ts';
export * from './errors.ts';
export { keyOverlapMsMax } from './key-handlers.ts';
export * from './messages.ts';
export * from './queries.ts';
export * from './state.ts';
