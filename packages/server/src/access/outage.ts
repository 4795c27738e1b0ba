import { LedgerErrorCodes } from '@salus/ledger';
import { SalusError } from '@salus/protocol';
import { RuleFault } from '../http/problems.ts';
import { AccessErrorCodes } from './errors.ts';

const retryAfterSeconds = '5';
const { diskFull, degraded, closed, overloaded, storeFailed } = LedgerErrorCodes;
const outageCodes: readonly number[] = [diskFull, degraded, closed, overloaded, storeFailed];

/** What a failing disk or connection throws has a code of the system. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z]+$/.test(error.code);
}

/** Whether the ledger could not commit, rather than that somebody's transaction was wrong. */
export function isOutage(error: unknown): boolean {
  if (error instanceof RuleFault) return error.code === AccessErrorCodes.ledgerUnavailable;
  return (error instanceof SalusError && outageCodes.includes(error.code)) || isSystemError(error);
}

export function outage(): RuleFault {
  return new RuleFault(AccessErrorCodes.ledgerUnavailable, { headers: { 'retry-after': retryAfterSeconds } });
}

/** Does what needs a commit; where the ledger cannot, says so with one number, whatever kept it. */
export async function withLedger<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isOutage(error) ? outage() : error;
  }
}
