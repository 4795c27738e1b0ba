import type { Did } from '@salus/protocol';
import type { Requester } from '../auth/requester.ts';
import type { AccountedDisclosure } from '../gate/accounting-index.ts';
import { RuleFault } from '../http/problems.ts';
import type { AccessDesk } from './desk.ts';
import { AccessErrorCodes } from './errors.ts';
import { withLedger } from './outage.ts';

/** Entries that one page gives at the most. */
const auditEntriesMax = 200;
/** Entries that one page looks through: they are sealed, and opened one by one. */
const auditScannedMax = 5_000;

export interface AuditQuery {
  person?: string;
  exit?: string;
  before?: number;
  verify?: boolean;
}

interface AuditEntry {
  sequence: number;
  path: string;
  disclosure: unknown;
  transaction?: string;
}

export interface Audit {
  entries: AuditEntry[];
  heads: { sequence: number; digest: string; timeMs: number; stands: boolean }[];
  next?: number;
  problems?: string[];
}

function fits({ disclosure }: AccountedDisclosure, { person, exit }: AuditQuery): boolean {
  if (person !== undefined && disclosure.requester.person !== person) return false;
  return exit === undefined || disclosure.exit === exit;
}

/** Everything in the custodian's log, newest first, by person where that is asked, with the heads on the ledger. */
export async function auditOf(desk: AccessDesk, query: AuditQuery): Promise<Audit> {
  await withLedger(() => desk.recorder.drain());
  const { logAnchor, index } = desk;
  const scanned = await index.latest(query.before ?? Number.MAX_SAFE_INTEGER, auditScannedMax);
  const found = scanned.filter(({ entry }) => fits(entry, query));
  const page = found.slice(0, auditEntriesMax);
  const isCut = found.length > page.length || scanned.length === auditScannedMax;
  const last = (found.length > page.length ? page : scanned).at(-1)?.sequence;
  const heads = (await logAnchor.heads()).map((head) => ({
    ...{ sequence: head.sequence, digest: head.digest },
    ...{ timeMs: logAnchor.stampedMs(head.digest) ?? 0, stands: logAnchor.stands(head) },
  }));
  return {
    entries: page.map(({ sequence, entry: { path, disclosure, hash } }) => ({
      ...{ sequence, path, disclosure },
      ...(hash !== undefined && { transaction: hash }),
    })),
    heads,
    ...(isCut && last !== undefined && last > 1 && { next: last }),
    ...(query.verify === true && { problems: await logAnchor.problems() }),
  };
}

export interface MergeInput {
  survivor: Did;
  merged: Did;
  ended?: boolean;
}

/** Takes two pseudonyms for one patient, or no longer (ADT A40, A37); who did it is in the accounting of both. */
export async function mergePatients(
  desk: AccessDesk,
  staff: Requester,
  { survivor, merged, ended }: MergeInput,
): Promise<string> {
  const { patients, organization } = desk.records;
  const both = [survivor, merged];
  if (both.some((did) => patients.byDid(did) === undefined)) throw new RuleFault(AccessErrorCodes.patientUnknown);
  for (const did of both) await desk.note(staff, 'merging', did);
  const type = ended === true ? 'identity/unmergePatients' : 'identity/mergePatients';
  const { hash } = await withLedger(() => organization.execute([{ type, survivor, merged }]));
  return hash;
}
