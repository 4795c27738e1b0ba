import { canonicalJson, type JsonValue, utf8Text } from '@salus/protocol';
import { accessDesks } from '../access/access-part.ts';
import { accountingOf } from '../access/accounting.ts';
import type { AccessDesk } from '../access/desk.ts';
import type { MemberRequester, Subject } from '../auth/requester.ts';
import { present, textOfResource } from '../fhir/present.ts';
import type { Disclosure } from '../gate/disclosure.ts';
import { releasedEntriesMax } from '../gate/gate.ts';
import type { Question } from '../gate/question.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { NodeContext } from '../node/start-node.ts';
import type { StoredResource } from '../records/resource-store.ts';
import type { ExportItem } from './items.ts';
import { type ExportReport, refuseTaken, writeExport } from './write-export.ts';

const lifeMs = 900_000;

export type ExportingNode = Pick<NodeContext, 'organizations' | 'reader' | 'ledger' | 'nowMs'>;

export interface ExportWish {
  slug: string;
  /** FHIR id of the patient at this organisation. */
  patient: string;
  /** Who takes the copy; by default the patient, to whom the organisation hands it (45 CFR 164.524). */
  subject?: Subject;
  roles?: readonly string[];
  purpose?: string;
}

export interface ExportOptions extends ExportWish {
  out: string;
}

function questionOf(desk: AccessDesk, options: ExportWish, nowMs: number): Question {
  const { subject = { kind: 'patient', id: options.patient }, roles = [], purpose = 'PATRQT' } = options;
  const requester: MemberRequester = {
    kind: 'member',
    organization: desk.records.organization.profile,
    subject,
    roles,
    purpose,
    tokenId: '',
    expiresMs: nowMs + lifeMs,
    impersonated: false,
  };
  return { requester, purpose, action: 'read', exit: 'export' };
}

/** What the patient has here, and the organisations, people and places that the permitted part names. */
async function candidatesOf({ records }: AccessDesk, question: Question, patient: string): Promise<StoredResource[]> {
  const own = await records.resources.ofPatient(patient);
  const { permitted } = await records.gate.decide(question, own);
  const tokens = new Set(permitted.flatMap((stored) => stored.tokens.filter((token) => !token.includes('|'))));
  const names = new Set([...tokens].map((token) => token.slice(token.indexOf('=') + 1)));
  const targets = await records.resources.findAll([...names].filter((name) => !name.startsWith('Patient/')));
  return [...own, ...targets.filter((found) => found.patient === undefined)];
}

/** What proves the export: disclosures with their salts, receipts, and the anchor that they are checked against. */
async function* proofs(node: ExportingNode, made: Disclosed[]): AsyncGenerator<ExportItem> {
  const disclosures = made.map(({ entry }) => entry);
  yield { kind: 'file', name: 'disclosures.json', text: `${canonicalJson(disclosures as unknown as JsonValue)}\n` };
  yield { kind: 'file', name: 'anchor.json', text: utf8Text(await node.ledger.anchor()) };
  const hashes = new Set(
    made.flatMap(({ entry: { transaction } }) => (transaction === undefined ? [] : [transaction])),
  );
  for (const hash of hashes) {
    yield { kind: 'receipt', hash, text: utf8Text(await node.ledger.receipt(hash, {})) };
  }
}

interface Disclosed {
  id: string;
  entry: Awaited<ReturnType<typeof accountingOf>>['entries'][number];
}

async function exportsOf(node: ExportingNode, desk: AccessDesk, patient: StoredPatient): Promise<Disclosed[]> {
  const { entries } = await accountingOf(node.reader, desk, patient.did);
  return entries.flatMap((entry) => {
    const { id, exit } = entry.disclosure as Disclosure;
    return exit === 'export' ? [{ id, entry }] : [];
  });
}

type StoredPatient = NonNullable<ReturnType<AccessDesk['records']['patients']['byId']>>;

/**
 * A patient's record, piece by piece, through the consent gate as every way out: decided entry by entry, recorded on the
 * ledger, and only then opened. Then what proves it; `end` comes last. Throws `exportNothing` when nothing is released.
 */
export async function* exportItems(node: ExportingNode, wish: ExportWish): AsyncGenerator<ExportItem> {
  const desk = accessDesks(node).get(wish.slug);
  if (desk === undefined) throw new NodeFault(NodeErrorCodes.organizationUnknown);
  const { records } = desk;
  const known = records.patients.byId(wish.patient);
  if (known === undefined) throw new NodeFault(NodeErrorCodes.exportNothing);
  const before = new Set((await exportsOf(node, desk, known)).map(({ id }) => id));
  await desk.facts.ready();
  const question = questionOf(desk, wish, node.nowMs());
  const candidates = await candidatesOf(desk, question, wish.patient);
  let resources = 0;
  for (let from = 0; from < candidates.length; from += releasedEntriesMax) {
    const part = candidates.slice(from, from + releasedEntriesMax);
    for await (const { stored, content } of await records.gate.release(question, part)) {
      resources += 1;
      yield { kind: 'resource', type: stored.type, text: textOfResource(present(stored, content).resource) };
    }
  }
  if (resources === 0) throw new NodeFault(NodeErrorCodes.exportNothing);
  const made = (await exportsOf(node, desk, known)).filter(({ id }) => !before.has(id));
  yield* proofs(node, made);
  yield { kind: 'end', patient: known.did, resources };
}

/** Writes a patient's record as FHIR NDJSON into a directory. */
export async function exportPatient(node: ExportingNode, options: ExportOptions): Promise<ExportReport> {
  refuseTaken(options.out);
  return await writeExport(options.out, exportItems(node, options));
}
