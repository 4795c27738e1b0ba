import { access, type IterableReader } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import type { AccountedDisclosure } from '../gate/accounting-index.ts';
import type { AccessDesk } from './desk.ts';
import { withLedger } from './outage.ts';

/** Looks at the log, where accesses go on all the time; after the last the list is told as it is. */
const roundsMax = 10;

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

/** What the ledger holds about a patient's records at one custodian. */
function anchoredOf(reader: IterableReader, custodian: Did, patient: Did): { routine: number; releases: number } {
  const { routine } = access.accountingCounts(reader, custodian, patient);
  let releases = 0;
  for (const [, entry] of access.accountingEntries(reader, custodian, patient)) {
    if (entry.kind === 'release') releases += 1;
  }
  return { routine, releases };
}

/** What is logged, and what the ledger holds at that moment: it is read again where something came onto it meanwhile. */
async function readBoth(reader: IterableReader, desk: AccessDesk, patient: Did) {
  for (let round = 1; ; round += 1) {
    await withLedger(() => desk.recorder.drain());
    const before = anchoredOf(reader, desk.did, patient);
    const logged = await desk.index.of(patient);
    const anchored = anchoredOf(reader, desk.did, patient);
    const isSame = before.routine === anchored.routine && before.releases === anchored.releases;
    if (isSame || round === roundsMax) return { logged, anchored };
  }
}

/**
 * Every access to a patient's records at one custodian, newest first. The ledger counts them (access contract): the
 * list is complete when it holds as many as were counted.
 */
export async function accountingOf(reader: IterableReader, desk: AccessDesk, patient: Did): Promise<Accounting> {
  const { logged, anchored } = await readBoth(reader, desk, patient);
  const entries = logged.filter((entry) => entry.path !== 'ledger' || isPlaced(reader, entry.disclosure.id));
  const routine = entries.filter(({ path }) => path === 'batch').length;
  const released = entries.filter(({ path }) => path === 'ledger').length;
  const complete = routine === anchored.routine && released === anchored.releases;
  return { complete, anchored: anchored.routine + anchored.releases, entries: entries.map(entryOf) };
}

/** A release that was logged and then refused by the ledger never took place. */
function isPlaced(reader: IterableReader, release: string): boolean {
  return access.release(reader, release) !== undefined;
}
