import { type Kernel, type KeyRefusal, type ResolvedKey, StateUnreadableError, type StateView } from '@salus/contracts';
import type { Payload } from '@salus/protocol';
import { ledgerError } from './errors.ts';
import type { KeyAnswer } from './verify/protocol.ts';

function isRefusal(resolved: ResolvedKey | KeyRefusal): resolved is KeyRefusal {
  return 'error' in resolved;
}

const NOTHING: StateView = { get: () => undefined };

/**
 * The key that a signature must verify with, as `view` has it, for whoever checks signatures. No time decides on it: a
 * member that executes a block late, or whose clock is wrong, finds the key that all others found.
 *
 * A key that the payload carries stays with the answer: what was signed with it before another transaction gave the
 * participant its keys is still signed, whoever looks at it when. Execution refuses it for the key.
 */
export function lookUpKey(kernel: Kernel, view: StateView, kid: string, payload: Payload): KeyAnswer {
  try {
    return readKey(kernel, view, kid, payload);
  } catch (error) {
    return unreadable(error);
  }
}

/** The store cannot be read: the ledger is about to stop. Whoever asks sends it again. */
export function unreadable(error: unknown): { code: number; log: string } {
  if (!(error instanceof StateUnreadableError)) throw error;
  const { code, message } = ledgerError('overloaded');
  return { code, log: message };
}

function readKey(kernel: Kernel, view: StateView, kid: string, payload: Payload): KeyAnswer {
  const resolved = kernel.resolveKey(view, kid, payload);
  const carried = kernel.resolveKey(NOTHING, kid, payload);
  if (isRefusal(resolved)) {
    if (!isRefusal(carried)) return { ...carried, isRegistered: false };
    const { code, name, advice } = resolved.error;
    return { code, log: `${name}: ${advice}` };
  }
  const registered = kernel.resolveKey(view, kid, { ...payload, messages: [] });
  const isRegistered = !isRefusal(registered) && registered.thumbprint === resolved.thumbprint;
  const isOther = !isRefusal(carried) && carried.thumbprint !== resolved.thumbprint;
  return { jwk: resolved.jwk, thumbprint: resolved.thumbprint, isRegistered, ...(isOther && { carried }) };
}
