import { access, type IterableReader } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import type { AccountedDisclosure } from '../gate/accounting-index.ts';
import type { AccessDesk } from './desk.ts';
import { withLedger } from './outage.ts';

interface AccountingEntry {
  disclosure: unknown;
  commitment: string;
  salt: string;
  path: string;
  transaction?: string;
}

export interface Accounting {
  complete: boolean;
  anchored: number;
  entries: AccountingEntry[];
}

function entryOf({ disclosure, commitment, salt, path, hash }: AccountedDisclosure): AccountingEntry {
  return { disclosure, commitment, salt, path, ...(hash !== undefined && { transaction: hash }) };
}

/**
 * Every access to a patient's records at one custodian, newest first. The ledger counts them (access contract): the
 * list is complete when it holds as many as were counted.
 */
export async function accountingOf(reader: IterableReader, desk: AccessDesk, patient: Did): Promise<Accounting> {
  await withLedger(() => desk.recorder.drain());
  const entries = desk.index
    .of(patient)
    .filter((entry) => entry.path !== 'ledger' || isPlaced(reader, entry.disclosure.id));
  const counts = access.accountingCounts(reader, desk.did, patient);
  let releases = 0;
  for (const [, entry] of access.accountingEntries(reader, desk.did, patient)) {
    if (entry.kind === 'release') releases += 1;
  }
  const routine = entries.filter(({ path }) => path === 'batch').length;
  const released = entries.filter(
    ({ path, disclosure }) => path === 'ledger' && isPlaced(reader, disclosure.id),
  ).length;
  const complete = routine === counts.routine && released === releases;
  return { complete, anchored: counts.routine + releases, entries: entries.map(entryOf) };
}

/** A release that was logged and then refused by the ledger never took place. */
function isPlaced(reader: IterableReader, release: string): boolean {
  return access.release(reader, release) !== undefined;
}
