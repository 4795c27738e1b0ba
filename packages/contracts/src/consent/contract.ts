import { type Contract, defineMessage } from '../kernel/types.ts';
import { consentErrors } from './errors.ts';
import * as handlers from './handlers.ts';
import { consentInvariants } from './invariants.ts';
import * as messages from './messages.ts';

const cost = 10;

export const consentContract: Contract = {
  name: 'consent',
  number: 5,
  messages: {
    'consent/grant': defineMessage({ schema: messages.GrantSchema, cost, handle: handlers.grant }),
    'consent/revoke': defineMessage({
      schema: messages.RevokeSchema,
      cost,
      check: messages.checkRevoke,
      handle: handlers.revoke,
    }),
    'consent/endCondition': defineMessage({
      schema: messages.EndConditionSchema,
      cost,
      check: messages.checkEndCondition,
      handle: handlers.endCondition,
    }),
  },
  errors: consentErrors,
  invariants: consentInvariants,
  operations: { endCondition: handlers.endConditionOperation, use: handlers.useOperation },
};
