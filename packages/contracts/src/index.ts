import { accessContract } from './access/index.ts';
import { consentContract } from './consent/index.ts';
import { governanceContract } from './governance/index.ts';
import { identityContract } from './identity/index.ts';
import { kernelContract } from './kernel/index.ts';
import { Kernel, type KernelOptions } from './kernel/kernel.ts';
import type { Contract } from './kernel/types.ts';
import { recordsContract } from './records/index.ts';

/** The contracts of every chain, in their fixed order. */
export const builtInContracts: readonly Contract[] = [
  kernelContract,
  identityContract,
  governanceContract,
  recordsContract,
  consentContract,
  accessContract,
];

export function createKernel(options: KernelOptions = {}): Kernel {
  return new Kernel(builtInContracts, options);
}

export * as access from './access/index.ts';
export * as consent from './consent/index.ts';
export * as governance from './governance/index.ts';
export * as identity from './identity/index.ts';
export * from './kernel/index.ts';
export * as records from './records/index.ts';
