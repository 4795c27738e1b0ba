import { type Contract, defineMessage } from '../kernel/types.ts';
import { anchorBatch, lateAnchor } from './batch-handlers.ts';
import { accessErrors } from './errors.ts';
import { breakGlass, review } from './glass-handlers.ts';
import { decide, release, request } from './handlers.ts';
import { accessInvariants } from './invariants.ts';
import * as messages from './messages.ts';

const cost = 10;

export const accessContract: Contract = {
  name: 'access',
  number: 6,
  messages: {
    'access/request': defineMessage({ schema: messages.RequestSchema, cost, handle: request }),
    'access/decide': defineMessage({ schema: messages.DecideSchema, cost, handle: decide }),
    'access/release': defineMessage({ schema: messages.ReleaseSchema, cost, handle: release }),
    'access/anchorBatch': defineMessage({ schema: messages.AnchorBatchSchema, cost, handle: anchorBatch }),
    'access/lateAnchor': defineMessage({ schema: messages.LateAnchorSchema, cost, handle: lateAnchor }),
    'access/breakGlass': defineMessage({ schema: messages.BreakGlassSchema, cost, handle: breakGlass }),
    'access/review': defineMessage({ schema: messages.ReviewSchema, cost, handle: review }),
  },
  reserved: ['access/openTelehealth'],
  errors: accessErrors,
  invariants: accessInvariants,
};
