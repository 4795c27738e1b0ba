import { createWriteStream, existsSync, readdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { canonicalJson, type JsonValue, utf8Text } from '@salus/protocol';
import { accessDesks } from '../access/access-part.ts';
import { accountingOf } from '../access/accounting.ts';
import type { AccessDesk } from '../access/desk.ts';
import type { MemberRequester, Subject } from '../auth/requester.ts';
import { present, textOfResource } from '../fhir/present.ts';
import { releasedEntriesMax } from '../gate/gate.ts';
import type { Question } from '../gate/question.ts';
import { makeDirectory, writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { RunningNode } from '../node/start-node.ts';
import type { StoredResource } from '../records/resource-store.ts';

/** Written in clear: nobody but the owner of the files may read them. */
const ownerOnly = 0o600;
const lifeMs = 900_000;

export interface ExportOptions {
  slug: string;
  /** FHIR id of the patient at this organisation. */
  patient: string;
  out: string;
  /** Who takes the copy; by default the patient, to whom the organisation hands it (45 CFR 164.524). */
  subject?: Subject;
  roles?: readonly string[];
  purpose?: string;
}

export interface ExportReport {
  patient: string;
  resources: number;
  types: Record<string, number>;
  files: string[];
  /** Receipts of the transactions that recorded the export before it was written. */
  receipts: string[];
}

/** The files of an export: one per type, with one resource in each line. */
class NdjsonFiles {
  readonly #dir: string;
  readonly #streams = new Map<string, WriteStream>();
  readonly counts: Record<string, number> = {};

  constructor(dir: string) {
    this.#dir = dir;
  }

  get names(): string[] {
    return [...this.#streams.keys()].sort().map((type) => `${type}.ndjson`);
  }

  async write(type: string, text: string): Promise<void> {
    let stream = this.#streams.get(type);
    if (stream === undefined) {
      stream = createWriteStream(join(this.#dir, `${type}.ndjson`), { mode: ownerOnly, flush: true, flags: 'wx' });
      this.#streams.set(type, stream);
    }
    this.counts[type] = (this.counts[type] ?? 0) + 1;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    stream.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
    await promise;
  }

  async close(): Promise<void> {
    for (const stream of this.#streams.values()) stream.end();
    await Promise.all([...this.#streams.values()].map((stream) => finished(stream)));
  }
}

function questionOf(desk: AccessDesk, options: ExportOptions, nowMs: number): Question {
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
function candidatesOf({ records }: AccessDesk, question: Question, patient: string): StoredResource[] {
  const own = records.resources.ofPatient(patient);
  const { permitted } = records.gate.decide(question, own);
  const names = new Set(permitted.flatMap(({ tokens }) => tokens.filter((token) => !token.includes('|'))));
  const targets = new Set([...names].map((token) => token.slice(token.indexOf('=') + 1)));
  const shared = [...targets].flatMap((name) => {
    const [type = '', id = ''] = name.split('/');
    const found = type === 'Patient' ? undefined : records.resources.find(type, id);
    return found !== undefined && found.patient === undefined ? [found] : [];
  });
  return [...own, ...shared];
}

function refuseTaken(out: string): void {
  if (existsSync(out) && readdirSync(out).length > 0) throw new NodeFault(NodeErrorCodes.backupTargetTaken);
}

/** What proves the export: disclosures with their salts, receipts, and the anchor that they are checked against. */
async function writeProofs(node: RunningNode, desk: AccessDesk, ids: ReadonlySet<string>, options: ExportOptions) {
  const known = desk.records.patients.byId(options.patient);
  if (known === undefined) return [];
  const { entries } = await accountingOf(node.reader, desk, known.did);
  const made = entries.filter(({ disclosure }) => !ids.has((disclosure as { id: string }).id));
  writeFileDurably(join(options.out, 'disclosures.json'), `${canonicalJson(made as unknown as JsonValue)}\n`);
  writeFileDurably(join(options.out, 'anchor.json'), utf8Text(await node.ledger.anchor()));
  const hashes = new Set(made.flatMap(({ transaction }) => (transaction === undefined ? [] : [transaction])));
  const names: string[] = [];
  for (const hash of hashes) {
    const name = `receipt-${hash.slice(0, 16)}.json`;
    writeFileDurably(join(options.out, name), utf8Text(await node.ledger.receipt(hash, {})));
    names.push(name);
  }
  return names;
}

/**
 * Writes a patient's record as FHIR NDJSON, through the consent gate as every way out: decided entry by entry, recorded
 * on the ledger, and only then opened and written. Throws `exportNothing` when nothing is released.
 */
export async function exportPatient(node: RunningNode, options: ExportOptions): Promise<ExportReport> {
  const desk = accessDesks(node).get(options.slug);
  if (desk === undefined) throw new NodeFault(NodeErrorCodes.organizationUnknown);
  refuseTaken(options.out);
  const { records } = desk;
  const known = records.patients.byId(options.patient);
  if (known === undefined) throw new NodeFault(NodeErrorCodes.exportNothing);
  const before = await accountingOf(node.reader, desk, known.did);
  const ids = new Set(before.entries.map(({ disclosure }) => (disclosure as { id: string }).id));
  await desk.facts.ready();
  const question = questionOf(desk, options, node.nowMs());
  const candidates = candidatesOf(desk, question, options.patient);
  makeDirectory(options.out);
  const files = new NdjsonFiles(options.out);
  try {
    for (let from = 0; from < candidates.length; from += releasedEntriesMax) {
      const part = candidates.slice(from, from + releasedEntriesMax);
      for await (const { stored, content } of await records.gate.release(question, part)) {
        await files.write(stored.type, textOfResource(present(stored, content).resource));
      }
    }
  } finally {
    await files.close();
  }
  const receipts = await writeProofs(node, desk, ids, options);
  const resources = Object.values(files.counts).reduce((sum, count) => sum + count, 0);
  if (resources === 0) throw new NodeFault(NodeErrorCodes.exportNothing);
  return { patient: known.did, resources, types: files.counts, files: files.names, receipts };
}
