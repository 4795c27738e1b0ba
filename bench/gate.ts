/**
 * What a decision of the consent gate costs without the commit that records it: a patient with 1,000 entries and 50
 * directives, on the real node (ledger state, sealed directives, policy of the jurisdiction pack).
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { consent } from '@salus/contracts';
import {
  type Did,
  generateSigningKey,
  type Message,
  signerFromJwk,
  signTransaction,
  toBase64url,
} from '@salus/protocol';
import {
  accessPart,
  createSandbox,
  type OrganizationRecords,
  type RunningNode,
  recordsOf,
  recordsPart,
  startNode,
} from '@salus/server';
import { latenciesOf } from './latencies.ts';
import { type Measurement, print } from './ledger-load.ts';

const limitMs = 5;
const recordCount = 1_000;
const directiveCount = 50;
const questionCount = 20_000;
const pageCount = 300;
const pageEntries = 50;
const patientId = 'bench-patient';
const dayMs = 86_400_000;
const expiryMs = Math.ceil((Date.now() + 300 * dayMs) / consent.expiryStepMs) * consent.expiryStepMs;

type Gate = OrganizationRecords['gate'];
type Question = Parameters<Gate['decide']>[0];
type Stored = Parameters<Gate['decide']>[1][number];

const randomId = (): string => toBase64url(new Uint8Array(randomBytes(16)));
const randomDid = (): Did => `did:salus:${toBase64url(new Uint8Array(randomBytes(20)))}`;

function* bundle(): Generator<Uint8Array> {
  const codes = ['laboratory', 'vital-signs', 'social-history', 'imaging'];
  const observation = (n: number) => ({
    resourceType: 'Observation',
    id: `o-${n}`,
    status: 'final',
    category: [
      {
        coding: [
          { system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: codes[n % codes.length] },
        ],
      },
    ],
    ...(n % 10 === 0 && {
      meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'PSY' }] },
    }),
    code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
    subject: { reference: `Patient/${patientId}` },
    effectiveDateTime: '2026-01-02T03:04:05Z',
  });
  const person = { resourceType: 'Patient', id: patientId, name: [{ family: 'Bench' }] };
  const resources = [person, ...Array.from({ length: recordCount - 1 }, (_, n) => observation(n))];
  const entry = resources.map((resource) => ({ resource }));
  yield Buffer.from(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
}

/** Permits and denials for people, roles, organisations; by category, label and single entry. */
function directives(patient: Did, custodian: Did, doctor: Did, entries: readonly Stored[]): consent.DirectiveContent[] {
  return Array.from({ length: directiveCount }, (_, n): consent.DirectiveContent => {
    const isDenial = n % 5 === 4;
    const grantee = n === 0 ? doctor : randomDid();
    const what = [{ all: true }, { categories: ['laboratory'] }, { records: [entries[n]?.record ?? ''] }][n % 3];
    return {
      format: consent.DIRECTIVE_FORMAT,
      id: randomId(),
      patient,
      custodian,
      effect: isDenial ? 'deny' : 'permit',
      grantees: [{ kind: n % 2 === 0 ? 'person' : 'organization', id: grantee }],
      what: what ?? { all: true },
      purposes: ['TREAT'],
      actions: ['read'],
      issuer: 'patient',
    };
  });
}

/** Puts the directives into force: state on the ledger, content sealed at the custodian. */
async function grantAll(node: RunningNode, records: OrganizationRecords, contents: consent.DirectiveContent[]) {
  const patient = records.patients.byId(patientId);
  if (patient === undefined) throw new Error('the patient is not there');
  const { publicJwk, privateJwk } = await generateSigningKey();
  const signer = signerFromJwk(`${patient.did}#sign-1`, privateJwk);
  const keys = [{ name: 'sign-1', purpose: 'sign', suite: 'ES256', jwk: { ...publicJwk } }];
  const bind: Message = { type: 'identity/bindPatient', patient: patient.did, keys };
  await records.organization.execute([bind], { cosigners: [signer] });
  for (const content of contents) {
    const grant: Message = {
      type: 'consent/grant',
      directive: content.id,
      patient: patient.did,
      commitment: toBase64url(new Uint8Array(randomBytes(32))),
      expiresMs: expiryMs,
      uses: 0,
      endToken: randomId(),
      hosted: false,
    };
    const bytes = await signTransaction({
      chain: node.chain,
      messages: [grant],
      signers: [signer],
      validUntil: node.nowMs() + 300_000,
    });
    const { code, log } = await node.ledger.submit(bytes);
    if (code !== 0) throw new Error(`${code} ${log}`);
    await records.content.put('directive', content.id, patient.did, content);
  }
}

async function staff(node: RunningNode, slug: string): Promise<Did> {
  const did = randomDid();
  await node.organizations.get(slug)?.execute([{ type: 'identity/registerPractitioner', did, roles: ['doctor'] }]);
  return did;
}

function questionOf(node: RunningNode, slug: string, person: Did): Question {
  const organization = node.members.find((member) => member.slug === slug);
  if (organization === undefined) throw new Error('no such member');
  const subject = { kind: 'practitioner' as const, id: person };
  const requester: Question['requester'] = {
    ...{ kind: 'member', organization, subject, roles: ['doctor'], purpose: 'TREAT' },
    ...{ tokenId: '', expiresMs: Number.MAX_SAFE_INTEGER, impersonated: false },
  };
  return { requester, purpose: 'TREAT', action: 'read', exit: 'read' };
}

async function timed(gate: Gate, asked: readonly [Question, readonly Stored[]][]): Promise<number[]> {
  const times: number[] = [];
  for (const [question, entries] of asked) {
    const startMs = performance.now();
    await gate.decide(question, entries);
    times.push(performance.now() - startMs);
  }
  return times;
}

async function measure(records: OrganizationRecords, questions: readonly Question[]): Promise<Measurement[]> {
  const { gate, resources } = records;
  const entries = await resources.ofPatient(patientId);
  const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!;
  const single = (count: number): [Question, Stored[]][] =>
    Array.from({ length: count }, (_, n) => [pick(questions, n), [pick(entries, n * 7)]]);
  const pages = Array.from({ length: pageCount }, (_, n): [Question, Stored[]] => {
    const from = (n * pageEntries) % entries.length;
    return [pick(questions, n), entries.slice(from, from + pageEntries)];
  });
  const whole = Array.from({ length: pageCount }, (_, n): [Question, Stored[]] => [pick(questions, n), entries]);
  await timed(gate, single(questionCount / 10));
  const answers: number[] = [];
  for (const question of questions) answers.push((await gate.decide(question, entries)).permitted.length);
  const line = (name: string, times: number[]): Measurement => ({ name, unit: 'ms', ...latenciesOf(times, limitMs) });
  return [
    { ...line('access decision', await timed(gate, single(questionCount))), permitted: answers.join(' ') },
    line(`access decision, page of ${pageEntries} entries`, await timed(gate, pages)),
    // No limit: this is a thousand decisions; the gate asks for them a page at a time.
    {
      ...line(`access decision, ${entries.length} entries`, await timed(gate, whole)),
      limit: undefined,
      ratio: undefined,
    },
  ];
}

export async function benchGate(): Promise<Measurement[]> {
  const dir = mkdtempSync(join(process.env.SALUS_BENCH_DIR ?? tmpdir(), 'salus-bench-gate-'));
  const dataDir = join(dir, 'node');
  await createSandbox(dataDir);
  const node = await startNode({ dataDir, offline: true, logLevel: 'silent', parts: [recordsPart, accessPart] });
  try {
    const records = recordsOf(node).get('hospital');
    if (records === undefined) throw new Error('no records');
    await records.import(async function* () {
      yield* bundle();
    });
    const [own, granted, stranger] = [
      await staff(node, 'hospital'),
      await staff(node, 'clinic'),
      await staff(node, 'clinic'),
    ];
    const entries = await records.resources.ofPatient(patientId);
    const patient = records.patients.byId(patientId)?.did ?? randomDid();
    await grantAll(node, records, directives(patient, records.organization.profile.did, granted, entries));
    const questions = [
      questionOf(node, 'hospital', own),
      questionOf(node, 'clinic', granted),
      questionOf(node, 'clinic', stranger),
    ];
    return await measure(records, questions);
  } finally {
    await node.stop();
    rmSync(dir, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const measurement of await benchGate()) print(measurement);
}
