import type { Kernel, KeyRefusal, ResolvedKey, StateView } from '@salus/contracts';
import type { Payload } from '@salus/protocol';
import type { KeyAnswer } from './verify/protocol.ts';

function isRefusal(resolved: ResolvedKey | KeyRefusal): resolved is KeyRefusal {
  return 'error' in resolved;
}

/**
 * The key that a signature must verify with, as `view` has it, for whoever checks signatures. No time decides on it: a
 * member that executes a block late, or whose clock is wrong, finds the key that all others found.
 */
export function lookUpKey(kernel: Kernel, view: StateView, kid: string, payload: Payload): KeyAnswer {
  const resolved = kernel.resolveKey(view, kid, payload);
  if (isRefusal(resolved)) {
    const { code, name, advice } = resolved.error;
    return { code, log: `${name}: ${advice}` };
  }
  const registered = kernel.resolveKey(view, kid, { ...payload, messages: [] });
  const isRegistered = !isRefusal(registered) && registered.thumbprint === resolved.thumbprint;
  return { jwk: resolved.jwk, thumbprint: resolved.thumbprint, isRegistered };
}
