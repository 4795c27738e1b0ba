import { defineErrors } from '../kernel/errors.ts';

/** Genesis is checked with these; messages that use the others come with voting. */
export const governanceErrors = defineErrors(3, {
  memberExists: [1, 'name each founding member once'],
  memberUnknown: [2, 'name a member of the consortium'],
  parameterUnknown: [3, 'use a parameter name of the governance specification'],
  parameterOutOfBounds: [4, 'choose a value within the bounds of this parameter'],
  ruleSetMalformed: [5, 'a rule set is a JSON object with format, id and a version from 1, and at most 256 KiB'],
  ruleSetVersion: [6, 'number the versions of a rule set 1, 2, 3 … in the order of publication'],
  policyMalformed: [7, 'correct the member of the salus-policy/1 document that its schema refuses'],
});
