import { rmSync, statSync } from 'node:fs';
import { writeFileDurably } from '@salus/server';
import type { NetworkMember } from './network-directory.ts';

/**
 * Beside a member's directory, and not in it: whoever brings the directory back from a backup, or takes it elsewhere, does not
 * decide by that whether the member runs here. It outlasts the supervisor, since a member that was stopped to run on another
 * machine would sign in two places.
 */
function markFile({ dataDir }: NetworkMember): string {
  return `${dataDir}.stopped`;
}

/** Since when a member is to stay ended, by its operator's word. */
export function stoppedSinceMs(member: NetworkMember): number | undefined {
  return statSync(markFile(member), { throwIfNoEntry: false })?.mtimeMs;
}

export function markStopped(member: NetworkMember): void {
  writeFileDurably(markFile(member), '');
}

export function unmarkStopped(member: NetworkMember): void {
  rmSync(markFile(member), { force: true });
}
