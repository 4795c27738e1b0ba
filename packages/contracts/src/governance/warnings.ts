import type { Did } from '@salus/protocol';
import { keysOf } from '../identity/queries.ts';
import type { StateReader } from '../kernel/types.ts';
import { members, parameter } from './queries.ts';
import { type Validator, validatorKey } from './state.ts';
import { announcedSet } from './validators.ts';

/** A key that ends, or is due for rotation, at `dueMs`; in the past when it has ended already. */
export type KeyWarning = {
  member: Did;
  /** Name of a key of identity, or the consensus key itself. */
  key: string;
  purpose: 'sign' | 'recover' | 'authenticate' | 'encrypt' | 'consensus';
  dueMs: number;
};

/**
 * Keys of members that end within `withinMs` and that no later key of the same purpose replaces, and validator keys that
 * reach the age at which they are due for rotation. Sorted by time. A query: nothing happens by itself.
 */
export function keyWarnings(reader: StateReader, nowMs: number, withinMs: number): KeyWarning[] {
  const horizonMs = nowMs + withinMs;
  const found = [
    ...members(reader).flatMap((did) => identityWarnings(reader, did)),
    ...announcedSet(reader).map(({ publicKey, member }) => consensusWarning(reader, publicKey, member)),
  ].filter(({ dueMs }) => dueMs <= horizonMs);
  return found.sort((a, b) => a.dueMs - b.dueMs || (a.key < b.key ? -1 : 1));
}

const never = Number.MAX_SAFE_INTEGER;

/** The last key of each purpose counts: an older one that ends beside it is a rotation as it should be. */
function identityWarnings(reader: StateReader, member: Did): KeyWarning[] {
  const last = new Map<string, KeyWarning>();
  for (const { name, purpose, expiresMs, revokedMs } of keysOf(reader, member)) {
    const dueMs = revokedMs ?? expiresMs ?? never;
    if (dueMs >= (last.get(purpose)?.dueMs ?? 0)) last.set(purpose, { member, key: name, purpose, dueMs });
  }
  return [...last.values()];
}

function consensusWarning(reader: StateReader, publicKey: string, member: Did): KeyWarning {
  const addedMs = reader.get<Validator>(validatorKey(publicKey))?.addedMs ?? 0;
  const dueMs = addedMs + parameter(reader, 'validatorKeyAgeMsMax');
  return { member, key: publicKey, purpose: 'consensus', dueMs };
}
