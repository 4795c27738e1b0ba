import { TestNetwork } from '../test-network.ts';

let started: Promise<TestNetwork> | undefined;

/** One network of four for all modules of a file: to start it takes longer than most of what is tested with it. */
export function sharedNetwork(): Promise<TestNetwork> {
  started ??= TestNetwork.start(4);
  return started;
}

export async function stopSharedNetwork(): Promise<void> {
  await (await started)?.stop();
}

/** Variants that continuous integration has no time for: SALUS_FAULTS=all runs them. */
export const isAll = process.env.SALUS_FAULTS === 'all';
