import { asciiBytes, type Did, type JsonValue, merkleRoot, toBase64url } from '@salus/protocol';
import { parameter } from '../governance/queries.ts';
import { isActiveOrganisation } from '../identity/queries.ts';
import { check } from '../kernel/errors.ts';
import { listAppend } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { accessErrors } from './errors.ts';
import type { AnchorBatch, LateAnchor } from './messages.ts';
import { type BatchEntry, batchPrefix, routineKey } from './state.ts';

/** A leaf costs a hash of itself and about one inner node. */
const costPerLeaf = 2;

/**
 * The leaf of one routine access. `n` is its number, from 0, among this patient's routine accesses at the custodian:
 * with the counter in state it proves that an accounting leaves none out.
 */
export function batchLeaf(patient: Did, n: number, commitment: string, occurredMs?: number): Uint8Array {
  return asciiBytes(`${patient}|${n}|${commitment}${occurredMs === undefined ? '' : `|${occurredMs}`}`);
}

type Entry = readonly [patient: Did, commitment: string, occurredMs?: number];

/** The leaves of a batch, given how many routine accesses each patient had before; updates those counts. */
export function batchLeaves(entries: readonly Entry[], counts: Map<Did, number>): Uint8Array[] {
  const leaves: Uint8Array[] = [];
  for (const [patient, commitment, occurredMs] of entries) {
    const n = counts.get(patient) ?? 0;
    counts.set(patient, n + 1);
    leaves.push(batchLeaf(patient, n, commitment, occurredMs));
  }
  return leaves;
}

/** Counters stand under the custodian's own name, so that nobody can count for another. */
function anchorEntries(
  state: ContractState,
  entries: readonly Entry[],
  late: boolean,
  context: TransactionContext,
): JsonValue {
  const { sender: custodian, blockTimeMs: timeMs, height } = context;
  check(isActiveOrganisation(state, custodian), accessErrors.organisationNeeded);
  check(entries.length <= parameter(state, 'batchEntriesMax'), accessErrors.batchTooLarge);
  state.charge(entries.length * costPerLeaf);
  const counts = new Map<Did, number>();
  for (const [patient] of entries) {
    if (!counts.has(patient)) counts.set(patient, state.get<number>(routineKey(custodian, patient)) ?? 0);
  }
  const root = merkleRoot(batchLeaves(entries, counts));
  for (const [patient, count] of counts) state.put(routineKey(custodian, patient), count);
  const entry: BatchEntry = { root, entries: entries.length, late, timeMs, height };
  const batch = listAppend(state, batchPrefix, custodian, entry);
  state.emit(late ? 'LateAnchored' : 'BatchAnchored', { custodian, batch, entries: entries.length });
  return { batch, root: toBase64url(root) };
}

export function anchorBatch(state: ContractState, message: AnchorBatch, context: TransactionContext): JsonValue {
  return anchorEntries(state, message.entries, false, context);
}

export function lateAnchor(state: ContractState, message: LateAnchor, context: TransactionContext): JsonValue {
  const later = message.entries.some(([, , occurredMs]) => occurredMs > context.blockTimeMs);
  check(!later, accessErrors.occurredLater);
  return anchorEntries(state, message.entries, true, context);
}
