import { kernelErrors } from './errors.ts';
import { stamp } from './handlers.ts';
import { kernelInvariants } from './invariants.ts';
import { StampSchema } from './messages.ts';
import { type Contract, defineMessage } from './types.ts';
import { cancelVersion, scheduleVersion } from './versions.ts';

const stampCost = 5;

export const kernelContract: Contract = {
  name: 'kernel',
  number: 1,
  messages: { 'kernel/stamp': defineMessage({ schema: StampSchema, cost: stampCost, handle: stamp }) },
  errors: kernelErrors,
  operations: { scheduleVersion, cancelVersion },
  invariants: kernelInvariants,
};

export * from './errors.ts';
export * from './genesis.ts';
export * from './kernel.ts';
export * from './lists.ts';
export * from './messages.ts';
export * from './queries.ts';
export * from './replay.ts';
export * from './schemas.ts';
export {
  bytesPerCostUnit,
  costPerEvent,
  costPerRead,
  costPerTransactionMax,
  costPerWrite,
} from './state.ts';
export * from './stored-value.ts';
export * from './types.ts';
export {
  applicationVersion,
  firstVersion,
  latestVersion,
  type PendingVersion,
  pendingVersion,
  type UpgradeNeeded,
  UpgradeNeededError,
} from './versions.ts';
