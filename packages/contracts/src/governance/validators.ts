import type { Did } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { ContractState, IterableReader, StateReader, TransactionContext } from '../kernel/types.ts';
import { type ChangeOf, type ValidatorChange, validatorsMax } from './changes.ts';
import { governanceErrors } from './errors.ts';
import { member, parameter } from './queries.ts';
import {
  type PowerStep,
  type SetEntry,
  updatesKey,
  type Validator,
  type ValidatorUpdate,
  validatorHeightKey,
  validatorKey,
  validatorPrefix,
  validatorSetKey,
} from './state.ts';

/** ABCI 2.0: what FinalizeBlock of block H returns is the set that signs from block H + 2 on. */
export const validatorDelayBlocks = 2;
const perMille = 1_000;

function byKey(left: { publicKey: string }, right: { publicKey: string }): number {
  return left.publicKey < right.publicKey ? -1 : 1;
}

/** The set that everything announced leads to. */
export function announcedSet(reader: StateReader): SetEntry[] {
  return storedSet(reader).filter(({ power }) => power > 0);
}

/** With keys that are leaving and have power still. */
function storedSet(reader: StateReader): SetEntry[] {
  return reader.get<SetEntry[]>(validatorSetKey) ?? [];
}

function putSet(state: ContractState, entries: readonly SetEntry[], { height }: TransactionContext): void {
  const keys = new Set(entries.map(({ publicKey }) => publicKey));
  const all = [...storedSet(state).filter(({ publicKey }) => !keys.has(publicKey)), ...entries];
  const stays = ({ publicKey, power }: SetEntry): boolean => {
    const validator = state.get<Validator>(validatorKey(publicKey));
    return power > 0 || (validator !== undefined && isPending(validator, height));
  };
  state.put(validatorSetKey, all.filter(stays).sort(byKey));
}

/** What FinalizeBlock of a block returns: no key twice, none removed that is not in the set. */
export function validatorUpdates(reader: StateReader, height: number): ValidatorUpdate[] {
  return reader.get<ValidatorUpdate[]>(updatesKey(height)) ?? [];
}

/** The set that signs block `height`, which is the present one or a later one (ABCI 2.0, two blocks after the update). */
export function signingValidators(reader: IterableReader, height: number): SetEntry[] {
  const set: SetEntry[] = [];
  for (const [key, validator] of reader.iterate<Validator>(validatorPrefix)) {
    const power = powerBefore(validator, height - validatorDelayBlocks + 1);
    if (power > 0) set.push({ publicKey: key.slice(validatorPrefix.length), member: validator.member, power });
  }
  return set;
}

/** Power that the engine knows of before block `height` announces anything. */
export function powerBefore({ power, steps }: Validator, height: number): number {
  return steps.findLast((step) => step.height < height)?.power ?? power;
}

function isPending(validator: Validator, height: number): boolean {
  return validator.steps.some((step) => step.height >= height);
}

/** The set with these keys at these powers; a key of power 0 is out of it. */
function replaced(set: readonly SetEntry[], entries: readonly SetEntry[]): SetEntry[] {
  const keys = new Set(entries.map(({ publicKey }) => publicKey));
  const kept = set.filter(({ publicKey }) => !keys.has(publicKey));
  return [...kept, ...entries.filter(({ power }) => power > 0)].sort(byKey);
}

function total(set: readonly SetEntry[]): number {
  return set.reduce((sum, { power }) => sum + power, 0);
}

/** Power of the strongest member. */
function largest(set: readonly SetEntry[]): number {
  const powers = new Map<Did, number>();
  for (const { member: did, power } of set) powers.set(did, (powers.get(did) ?? 0) + power);
  return Math.max(0, ...powers.values());
}

/**
 * A change never leaves fewer validators, or a stronger member, than the parameters allow. A chain that began with fewer
 * or stronger ones may come nearer to what is allowed, step by step.
 */
function checkSet(state: StateReader, before: readonly SetEntry[], after: readonly SetEntry[]): void {
  check(after.length > 0, governanceErrors.validatorsTooFew);
  const isFewer = after.length < before.length;
  check(!isFewer || after.length >= parameter(state, 'validatorsMin'), governanceErrors.validatorsTooFew);
  check(after.length <= validatorsMax, governanceErrors.validatorsTooMany);
  const [share, sum] = [largest(after), total(after)];
  const isWithin = share * perMille <= parameter(state, 'validatorMemberPowerPerMilleMax') * sum;
  const isNoWorse = share * total(before) <= largest(before) * sum;
  check(isWithin || isNoWorse, governanceErrors.powerTooLarge);
}

function checkOne(state: ContractState, change: ValidatorChange, context: TransactionContext): void {
  const { publicKey, member: did, power } = change;
  const existing = state.get<Validator>(validatorKey(publicKey));
  check(power === 0 || member(state, did)?.status === 'active', governanceErrors.memberUnknown);
  if (!existing) {
    check(power > 0, governanceErrors.validatorUnknown);
    return;
  }
  check(existing.member === did, governanceErrors.validatorOfOther);
  check(!isPending(existing, context.height), governanceErrors.validatorPending);
  const present = powerBefore(existing, context.height);
  check(present > 0, governanceErrors.validatorRetired);
  check(present !== power, governanceErrors.nothingToChange);
}

/** Throws where the present set cannot be changed so. */
export function checkValidators(state: ContractState, changes: ValidatorChange[], context: TransactionContext): void {
  for (const change of changes) checkOne(state, change, context);
  const before = announcedSet(state);
  checkSet(state, before, replaced(before, changes));
}

/** Whoever is named for a new key runs it: otherwise a stranger's key would count as theirs. */
export function checkConsentOfMembers(
  state: ContractState,
  changes: ValidatorChange[],
  { signers }: TransactionContext,
): void {
  for (const { publicKey, member: did } of changes) {
    const isNew = state.get(validatorKey(publicKey)) === undefined;
    check(!isNew || signers.includes(did), governanceErrors.validatorUnsigned);
  }
}

export function checkRotation(
  state: ContractState,
  change: ChangeOf<'rotateValidator'>,
  context: TransactionContext,
): Did {
  const old = state.get<Validator>(validatorKey(change.validator));
  if (!old || powerBefore(old, context.height) === 0) refuse(governanceErrors.validatorUnknown);
  check(!isPending(old, context.height), governanceErrors.validatorPending);
  check(state.get(validatorKey(change.publicKey)) === undefined, governanceErrors.validatorRetired);
  const isShared = change.overlapBlocks > 0;
  check(!isShared || powerBefore(old, context.height) > 1, governanceErrors.powerTooSmall);
  return old.member;
}

/** Takes back what is announced and not yet told to the engine, and announces these steps instead. */
function announce(
  state: ContractState,
  publicKey: string,
  owner: Did,
  next: PowerStep[],
  context: TransactionContext,
): void {
  const { height, blockTimeMs } = context;
  const record = state.get<Validator>(validatorKey(publicKey)) ?? {
    member: owner,
    power: 0,
    addedMs: blockTimeMs,
    steps: [],
  };
  for (const step of record.steps.filter((one) => one.height >= height)) {
    putUpdates(state, step.height, publicKey, undefined);
  }
  const told = record.steps.filter((one) => one.height < height);
  const steps: PowerStep[] = [];
  let power = powerBefore(record, height);
  for (const step of next) {
    if (step.power === power) continue;
    power = step.power;
    steps.push(step);
    putUpdates(state, step.height, publicKey, power);
  }
  const isSigned = (step: PowerStep): boolean => step.height + validatorDelayBlocks <= height;
  const folded = told.findLast(isSigned)?.power ?? record.power;
  const recent = told.filter((step) => !isSigned(step));
  state.put(validatorKey(publicKey), { ...record, power: folded, steps: [...recent, ...steps] });
}

function putUpdates(state: ContractState, height: number, publicKey: string, power: number | undefined): void {
  const others = validatorUpdates(state, height).filter((update) => update.publicKey !== publicKey);
  const updates = power === undefined ? others : [...others, { publicKey, power }].sort(byKey);
  if (updates.length > 0) state.put(updatesKey(height), updates);
  else state.remove(updatesKey(height));
}

/** Changes of the set follow each other in the order in which they were executed, so that each was checked on the one before. */
function announcedHeight(state: ContractState, wanted: number): number {
  const height = Math.max(wanted, state.get<number>(validatorHeightKey) ?? 0);
  state.put(validatorHeightKey, height);
  return height;
}

export function announceValidators(
  state: ContractState,
  changes: ValidatorChange[],
  wanted: number,
  context: TransactionContext,
): number {
  const height = announcedHeight(state, wanted);
  for (const { publicKey, member: did, power } of changes) {
    announce(state, publicKey, did, [{ height, power }], context);
  }
  putSet(state, changes, context);
  return height;
}

/** Old and new key share the power during the overlap: neither the member's part nor the whole ever changes. */
export function announceRotation(
  state: ContractState,
  change: ChangeOf<'rotateValidator'>,
  wanted: number,
  context: TransactionContext,
): number {
  const { validator, publicKey, overlapBlocks } = change;
  const old = state.get<Validator>(validatorKey(validator)) as Validator;
  const power = powerBefore(old, context.height);
  const height = announcedHeight(state, wanted);
  const half = Math.floor(power / 2);
  const end = height + overlapBlocks;
  const [fades, grows]: PowerStep[][] =
    overlapBlocks === 0
      ? [[{ height, power: 0 }], [{ height, power }]]
      : [
          [
            { height, power: power - half },
            { height: end, power: 0 },
          ],
          [
            { height, power: half },
            { height: end, power },
          ],
        ];
  announce(state, validator, old.member, fades ?? [], context);
  announce(state, publicKey, old.member, grows ?? [], context);
  const entries = [
    { publicKey: validator, member: old.member, power: 0 },
    { publicKey, member: old.member, power },
  ];
  putSet(state, entries, context);
  return height;
}

/** Everything that a member has, or is going to have, in the set, as what takes it out. */
function withdrawalOf(reader: StateReader, did: Did): SetEntry[] {
  return storedSet(reader)
    .filter((entry) => entry.member === did)
    .map((entry) => ({ ...entry, power: 0 }));
}

/** A member that leaves takes its validators with it; refused where too few would stay. */
export function checkWithdrawal(state: ContractState, did: Did): void {
  const gone = withdrawalOf(state, did);
  const before = announcedSet(state);
  if (gone.length > 0) checkSet(state, before, replaced(before, gone));
}

export function announceWithdrawal(
  state: ContractState,
  did: Did,
  wanted: number,
  context: TransactionContext,
): number | undefined {
  const gone = withdrawalOf(state, did);
  return gone.length > 0 ? announceValidators(state, gone, wanted, context) : undefined;
}
