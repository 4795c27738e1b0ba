import type { CborValue } from '@salus/protocol';
import type { ContractState, StateReader, TransactionContext } from './types.ts';

/**
 * The application version decides how every member's program behaves. It stands in state and changes at a height that
 * governance announced beforehand, so that all members change in the same block, and so that a new program replays old
 * blocks as they were.
 */
export const versionKey = 'kernel/version';

/** What a chain begins with, and what this program can execute. */
export const firstVersion = 1;
export const latestVersion = 1;

export type PendingVersion = { version: number; height: number };
/** `version` is in force from block `height`; `pending` from its own height. Absent: `firstVersion` from genesis. */
export type VersionState = PendingVersion & { pending?: PendingVersion };

/** A chain that wants a version which this program does not have: it must stop before the block, its data whole. */
export type UpgradeNeeded = { version: number; height: number; latestVersion: number };

/** Thrown instead of executing a block by the wrong rules. Engines ask `Kernel.upgradeNeeded` before. */
export class UpgradeNeededError extends Error {
  override readonly name = 'UpgradeNeededError';
  readonly needed: UpgradeNeeded;

  constructor(needed: UpgradeNeeded) {
    const { version, height, latestVersion: has } = needed;
    super(`the chain is at version ${version} from block ${height}; this program knows versions up to ${has}`);
    this.needed = needed;
  }
}

function versionState(reader: StateReader): VersionState {
  return reader.get<VersionState>(versionKey) ?? { version: firstVersion, height: 0 };
}

/** The version by which block `height` is executed. */
export function applicationVersion(reader: StateReader, height: number): number {
  return versionSince(reader, height).version;
}

/** The version by which block `height` is executed, and the block from which it is in force. */
export function versionSince(reader: StateReader, height: number): PendingVersion {
  const { pending, version, height: since } = versionState(reader);
  return pending && pending.height <= height ? pending : { version, height: since };
}

/** The version that is announced and not yet in force at block `height`. */
export function pendingVersion(reader: StateReader, height: number): PendingVersion | undefined {
  const { pending } = versionState(reader);
  return pending && pending.height > height ? pending : undefined;
}

/** Operation of governance: [version, height]. A programmer's fault to announce a second one or one that is due. */
export function scheduleVersion(state: ContractState, argument: CborValue, { height }: TransactionContext): CborValue {
  const [version, from] = argument as [number, number];
  const present = versionSince(state, height);
  if (pendingVersion(state, height) || version !== present.version + 1 || from <= height) {
    throw new TypeError(`version ${version} cannot follow ${present.version} at block ${from}`);
  }
  const next: VersionState = { ...present, pending: { version, height: from } };
  state.put(versionKey, next);
  state.emit('VersionAnnounced', { version, height: from });
  return version;
}

/** Operation of governance: takes back what is announced and not yet in force; gives its version. */
export function cancelVersion(state: ContractState, _: CborValue, { height }: TransactionContext): CborValue {
  const pending = pendingVersion(state, height);
  if (!pending) throw new TypeError('no version is announced');
  state.put(versionKey, versionSince(state, height));
  state.emit('VersionCancelled', { version: pending.version });
  return pending.version;
}
