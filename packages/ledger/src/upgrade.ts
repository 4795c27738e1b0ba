import type { Kernel, LedgerView } from '@salus/contracts';
import type { SalusError } from '@salus/protocol';
import { ledgerError } from './errors.ts';

/** Why this program may not execute block `height`: the members have gone over to a version that it does not know. */
export function upgradeProblem(kernel: Kernel, view: Pick<LedgerView, 'get'>, height: number): SalusError | undefined {
  const needed = kernel.upgradeNeeded(view, height);
  if (!needed) return undefined;
  const { version, height: since, latestVersion } = needed;
  return ledgerError('upgradeNeeded', `version ${version} from block ${since}; this one knows ${latestVersion}`);
}
