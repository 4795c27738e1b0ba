import type { Did } from '@salus/protocol';
import { check, kernelErrors } from './errors.ts';
import type { StampMessage } from './messages.ts';
import { type Stamp, stampKey } from './queries.ts';
import type { ContractState, TransactionContext } from './types.ts';

export function stamp(state: ContractState, { digest }: StampMessage, context: TransactionContext): void {
  const sender: Did = context.sender;
  const key = stampKey(sender, digest);
  check(state.get<Stamp>(key) === undefined, kernelErrors.stampExists);
  const value: Stamp = { height: context.height, timeMs: context.blockTimeMs };
  state.put(key, value);
  state.emit('Stamped', { participant: sender, digest });
}
