import { defineErrors } from '../kernel/errors.ts';

export const consentErrors = defineErrors(5, {
  notThePatient: [1, 'the patient, or who holds an authority for the patient, must sign this'],
  directiveExists: [2, 'this directive id is in use; make a new random one'],
  directiveUnknown: [3, 'name a directive of this patient'],
  directiveRevoked: [4, 'this directive was revoked; ask the patient again'],
  directiveExpired: [5, 'this directive has expired; ask the patient again'],
  directiveUsedUp: [6, 'all uses of this directive are spent; ask the patient again'],
  conditionEnded: [7, 'what this directive depends on has ended; ask the patient again'],
  expiryNotCoarse: [
    8,
    'choose an expiry that is a whole multiple of 30 days since 1970, later than now, within the governed longest duration',
  ],
  directivesTooMany: [9, 'this patient has as many directives on record as may be; ask the custodian to tidy up'],
  organisationNeeded: [10, 'the active organisation that issued the condition must sign this'],
  conditionAlreadyEnded: [11, 'this condition has ended already'],
  sameTwice: [12, 'a list names the same twice; remove one'],
  issuerUnknown: [13, 'name a registered organisation as the one that ends the condition'],
  authorityEnded: [14, 'the authority under which this directive was given has ended; ask the patient again'],
  usesTooMany: [15, 'allow fewer uses; governance sets the most'],
});
