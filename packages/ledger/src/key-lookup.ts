import type { BlockContext, Kernel, KeyRefusal, ResolvedKey, StateView } from '@salus/contracts';
import type { Payload } from '@salus/protocol';
import type { KeyAnswer } from './verify/protocol.ts';

function isRefusal(resolved: ResolvedKey | KeyRefusal): resolved is KeyRefusal {
  return 'error' in resolved;
}

/** The key that a signature must verify with, as `view` has it, for whoever checks signatures. */
export function lookUpKey(
  kernel: Kernel,
  view: StateView,
  context: BlockContext,
  kid: string,
  payload: Payload,
): KeyAnswer {
  const resolved = kernel.resolveKey(view, kid, payload, context);
  if (isRefusal(resolved)) {
    const { code, name, advice } = resolved.error;
    return { code, log: `${name}: ${advice}` };
  }
  const registered = kernel.resolveKey(view, kid, { ...payload, messages: [] }, context);
  const isRegistered = !isRefusal(registered) && registered.thumbprint === resolved.thumbprint;
  return { jwk: resolved.jwk, thumbprint: resolved.thumbprint, isRegistered };
}
