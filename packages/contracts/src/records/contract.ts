import { type Contract, defineMessage } from '../kernel/types.ts';
import { recordsErrors } from './errors.ts';
import * as handlers from './handlers.ts';
import { recordsInvariants } from './invariants.ts';
import * as messages from './messages.ts';
import { dispute, reject, validate } from './vote-handlers.ts';

const cost = 10;

export const recordsContract: Contract = {
  name: 'records',
  number: 4,
  messages: {
    'records/anchor': defineMessage({
      schema: messages.AnchorSchema,
      cost,
      check: messages.checkAnchor,
      handle: handlers.anchor,
    }),
    'records/setPolicy': defineMessage({
      schema: messages.SetPolicySchema,
      cost,
      check: messages.checkPolicy,
      handle: handlers.setPolicy,
    }),
    'records/propose': defineMessage({ schema: messages.ProposeSchema, cost, handle: handlers.propose }),
    'records/validate': defineMessage({ schema: messages.ValidateSchema, cost, handle: validate }),
    'records/reject': defineMessage({ schema: messages.RejectSchema, cost, handle: reject }),
    'records/dispute': defineMessage({ schema: messages.DisputeSchema, cost, handle: dispute }),
    'records/annotate': defineMessage({ schema: messages.AnnotateSchema, cost, handle: handlers.annotate }),
    'records/restrict': defineMessage({ schema: messages.RestrictSchema, cost, handle: handlers.restrict }),
    'records/erase': defineMessage({
      schema: messages.EraseSchema,
      cost,
      check: messages.checkErase,
      handle: handlers.erase,
    }),
  },
  reserved: ['records/handover'],
  errors: recordsErrors,
  invariants: recordsInvariants,
};
