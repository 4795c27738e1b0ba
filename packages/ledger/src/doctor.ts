import {
  bucketKey,
  decodeStored,
  extendBucket,
  hasPassed,
  type Kernel,
  liveMinutesKey,
  type ReplayBucket,
} from '@salus/contracts';
import { equalBytes, fromHex, toHex, type Validator } from '@salus/protocol';
import { ChainCheck } from './chain-check.ts';
import { type DirectoryInfo, logStart } from './directory.ts';
import { genesisTip } from './embedded/block-builder.ts';
import { LedgerErrorCodes } from './errors.ts';
import { treeUpperLevels } from './limits.ts';
import { decodeRecord } from './log/record.ts';
import { type LogScan, scanLog } from './log/segment.ts';
import { type Report, report } from './replay.ts';
import type { StateStore } from './state/state-store.ts';
import { StateTree } from './tree/state-tree.ts';

export type Patient = {
  kernel: Kernel;
  directory: DirectoryInfo;
  validators: readonly Validator[];
  scan: LogScan;
  state: StateStore;
  head: { height: number; timeMs: number; appHash: string };
};

/**
 * Whether what lies on the disk fits together: every block and its link to the one before, its votes, the index, the
 * state table against the tree's root, the table of used ids against the digests in state, and what the contracts say
 * must always hold. Executes nothing again (`replayChain` does).
 */
export function examine(patient: Patient): Report {
  const { kernel, directory, validators, scan, head, state } = patient;
  const { genesis, base } = directory;
  const start = new StateTree({ get: () => undefined }, treeUpperLevels);
  start.update(kernel.genesis(genesis));
  const check = new ChainCheck(genesis.chain, validators, genesisTip(genesis.timeMs, start.root()));
  const problems: string[] = [];
  try {
    scanLog(scan, logStart(base), ({ height, payload, location }) => {
      if (height > head.height) return;
      if (height === base?.height) return check.beginAfter(decodeRecord(payload));
      const { hashes, results } = check.check(decodeRecord(payload));
      const known = state.location(height);
      if (known?.segment !== location.segment || known.offset !== location.offset) {
        problems.push(`block ${height}: the index has it elsewhere`);
      }
      for (const [index, hash] of hashes.entries()) {
        if (results[index]?.code === LedgerErrorCodes.transactionUnfit) continue;
        const place = state.place(toHex(hash));
        if (place?.height !== height || place.index !== index) {
          problems.push(`block ${height}: transaction ${index} is not in the index`);
        }
      }
    });
  } catch (error) {
    problems.push((error as Error).message);
  }
  const last = (base?.height ?? 0) + check.blocks;
  if (last < head.height) problems.push(`blocks after ${last} are missing`);
  return report(check, [...problems, ...stateProblems(patient), ...replayProblems(patient), ...invariants(patient)]);
}

/** The tree as the state table alone makes it must have the root that the chain says. */
function stateProblems({ state, head }: Patient): string[] {
  const buckets = new Map<number, Uint8Array>();
  const tree = new StateTree({ get: (index) => buckets.get(index) }, treeUpperLevels);
  for (const [index, bucket] of tree.update(state.durable.iterate(''))) buckets.set(index, bucket);
  const problems: string[] = [];
  if (!equalBytes(tree.root(), fromHex(head.appHash))) problems.push('the state table does not give the state root');
  for (const [index, bucket] of buckets) {
    const stored = state.buckets.get(index);
    if (!stored || !equalBytes(stored, bucket)) problems.push(`the state table does not give bucket ${index}`);
  }
  return problems;
}

function replayProblems({ state, head }: Patient): string[] {
  const stored = state.durable.get(liveMinutesKey);
  const live = stored ? decodeStored<number[]>(stored) : [];
  return live
    .filter((minute) => !hasPassed(minute, head.timeMs))
    .flatMap((minute) => {
      const digest = state.durable.get(bucketKey(minute));
      let bucket: ReplayBucket | undefined;
      for (const id of state.replay.ids(minute)) bucket = extendBucket(bucket, id);
      const expected = digest ? decodeStored<ReplayBucket>(digest) : undefined;
      const fits = expected && bucket && bucket.count === expected.count && equalBytes(bucket.digest, expected.digest);
      return fits ? [] : [`the table of used ids does not give the digest of minute ${minute}`];
    });
}

function invariants({ kernel, state }: Patient): string[] {
  return kernel.invariants(state.durable);
}
