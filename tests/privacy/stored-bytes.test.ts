import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createLog, createSandbox, type RunningNode, readOrganization, recordsOf, startNode } from '@salus/server';
import { generatePatients, personalStrings, type Resource } from '@salus/standards';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ByteScanner } from '../support/byte-scan.ts';

const synthea = join(
  process.env.SALUS_DATA ?? join(import.meta.dirname, '../../../shared/data'),
  'synthea-fhir-r4/us-ma',
);
const patientFilesMax = 4;
const generatedPatients = 12;
const canary = 'Quillfeather-Möbius 4711';
/** Texts shorter than this are found in random bytes too. */
const needleCharsMin = 8;

type Entry = { resource: Resource };
type Bundle = { entry: Entry[] };

function syntheaBundles(): Uint8Array[] {
  if (!existsSync(synthea)) return [];
  const files = readdirSync(synthea).filter((name) => name.endsWith('.json.gz'));
  const info = files.filter((name) => name.includes('Information'));
  const people = files.filter((name) => !name.includes('Information')).slice(0, patientFilesMax);
  return [...info, ...people].map((name) => new Uint8Array(gunzipSync(readFileSync(join(synthea, name)))));
}

/** Names of organisations, and what occurs in everybody's record, tell nobody apart. */
function publicTexts(resources: readonly Resource[]): Set<string> {
  const texts = new Set<string>();
  for (const resource of resources) {
    if (resource.resourceType !== 'Organization' && resource.resourceType !== 'Location') continue;
    for (const text of JSON.stringify(resource).match(/"([^"\\]{4,})"/g) ?? []) texts.add(text.slice(1, -1));
  }
  return texts;
}

function needlesOf(resources: readonly Resource[]): string[] {
  const known = publicTexts(resources);
  const found = new Set<string>();
  for (const resource of resources) {
    for (const { value } of personalStrings(resource)) {
      const text = value.slice(0, 120);
      if (text.length >= needleCharsMin && !known.has(text)) found.add(text);
    }
  }
  return [...found];
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function readAll(node: RunningNode, dataDir: string, ids: readonly string[]): Promise<string[]> {
  const { keys } = readOrganization(dataDir, 'hospital');
  const make = (subject: Parameters<typeof keys.token>[0]['subject'], purpose: string, roles: string[]) =>
    keys.token({
      chain: node.chain,
      subject,
      purpose,
      roles,
      impersonated: subject.kind !== 'system',
      nowMs: Date.now(),
    });
  const doctor = await make({ kind: 'practitioner', id: 'dr-lee' }, 'TREAT', ['doctor']);
  const clerk = await make({ kind: 'practitioner', id: 'clerk' }, 'TREAT', ['clerk']);
  const texts: string[] = [];
  for (const id of ids) {
    for (const path of [
      `/Patient/${id}`,
      `/Patient/${id}/$everything`,
      `/Observation?patient=${id}&_count=3`,
      `/Nonsense/${id}?name=${encodeURIComponent(canary)}`,
    ]) {
      for (const token of [doctor, clerk]) {
        const answer = await fetch(`${node.url}/org/hospital/fhir/R4${path}`, {
          headers: { authorization: `Bearer ${token}` },
        });
        texts.push(await answer.text());
      }
    }
  }
  return texts;
}

const bundles = syntheaBundles();
const source = bundles.length > 0 ? 'Synthea and generated patients' : 'generated patients (SALUS_DATA has no Synthea)';

describe(`R-LED-5 stored bytes of ${source}`, () => {
  let root: string;
  let dataDir: string;
  let needles: string[];
  let metrics: string;
  const logLines: string[] = [];

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'salus-privacy-'));
    dataDir = join(root, 'node');
    await createSandbox(dataDir);
    const log = createLog('debug', { write: (line) => void logLines.push(line) });
    const node = await startNode({ dataDir, port: 0, log });
    const generated = generatePatients({ seed: 'stored-bytes', count: generatedPatients });
    const texts = [...bundles, ...generated.map(({ bundle }) => new Uint8Array(Buffer.from(JSON.stringify(bundle))))];
    const resources = texts.flatMap((bytes) =>
      (JSON.parse(Buffer.from(bytes).toString()) as Bundle).entry.map(({ resource }) => resource),
    );
    needles = needlesOf(resources);
    const records = recordsOf(node).get('hospital');
    if (records === undefined) throw new Error('no hospital');
    const ids: string[] = [];
    for (const bytes of texts) {
      const report = await records.import(() => once(bytes));
      expect(report.errors).toEqual([]);
      ids.push(...report.patients.map(({ id }) => id));
    }
    const answers = await readAll(node, dataDir, ids.slice(-6));
    expect(answers.some((text) => text.includes('"resourceType":"Patient"'))).toBe(true);
    metrics = await (await fetch(`${node.url}/metrics`)).text();
    await node.stop();
  });

  afterAll(() => rm(root, { recursive: true, force: true }));

  it('hold nothing of a patient or practitioner, in no encoding', async () => {
    expect(needles.length).toBeGreaterThan(100);
    const scanner = new ByteScanner(needles);
    await scanner.scanDirectory(dataDir);
    expect(scanner.bytes).toBeGreaterThan(1_000_000);
    expect(scanner.findings.slice(0, 5)).toEqual([]);
  });

  it('nor do the logs', () => {
    const scanner = new ByteScanner([...needles, canary]);
    scanner.scan(Buffer.from(logLines.join('\n')), 'log');
    expect(logLines.length).toBeGreaterThan(10);
    expect(scanner.findings.slice(0, 5)).toEqual([]);
  });

  it('nor do the metrics', () => {
    const scanner = new ByteScanner([...needles, canary]);
    scanner.scan(Buffer.from(metrics), 'metrics');
    expect(metrics).toContain('salus_http_request_duration_seconds_bucket');
    expect(scanner.findings.slice(0, 5)).toEqual([]);
  });

  it('would show a name that got there', async () => {
    writeFileSync(
      join(dataDir, 'orgs', 'hospital', 'planted'),
      `prefix ${Buffer.from(canary).toString('base64')} suffix`,
    );
    const scanner = new ByteScanner([canary, ...needles.slice(0, 50)]);
    await scanner.scanDirectory(dataDir);
    expect(scanner.findings.map(({ file }) => file.endsWith('planted'))).toContain(true);
  });
});
