/**
 * Whether the time of an answer tells what is refused from what is not here: the area under the ROC curve of the two
 * distributions (0.5: nobody can tell). Asked alternately, for patients with records of different lengths; the requester
 * may read none of them. At the gate itself, where no grid of 50 ms hides anything, and through HTTP with it.
 *
 * The control compares a refusal with asking nobody at all. Where it is not far from 0.5, this machine is too busy for
 * the other lines to mean anything.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Did, toBase64url } from '@salus/protocol';
import { createSandbox, type RunningNode, recordsOf, startNode } from '@salus/server';
import { type Measurement, print } from './ledger-load.ts';

const limit = 0.55;
const patientCount = 40;
const entriesMax = 60;
const rounds = 60;
const gateRounds = 600;
const atOnce = 4;

const exits: Record<string, (id: { patient: string; record: string }) => string> = {
  read: ({ record }) => `Observation/${record}`,
  search: ({ patient }) => `Observation?patient=${patient}`,
  everything: ({ patient }) => `Patient/${patient}/$everything`,
};

const newId = (): string => randomBytes(8).toString('hex');

function* bundle(ids: readonly string[], records: Map<string, string>): Generator<Uint8Array> {
  const resources = ids.flatMap((id, position) => {
    const count = 1 + ((position * 7) % entriesMax);
    const observations = Array.from({ length: count }, () => ({
      ...{ resourceType: 'Observation', id: newId(), status: 'final', subject: { reference: `Patient/${id}` } },
      code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
    }));
    records.set(id, observations[0]?.id ?? '');
    return [{ resourceType: 'Patient', id, name: [{ family: 'Bench' }] }, ...observations];
  });
  const entry = resources.map((resource) => ({ resource }));
  yield Buffer.from(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
}

async function timeOf(url: string, token: string): Promise<number> {
  const startMs = performance.now();
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  await response.arrayBuffer();
  return performance.now() - startMs;
}

/** The chance that a refusal takes longer than an answer about nothing; ties count half. */
function areaUnderCurve(refused: readonly number[], absent: readonly number[]): number {
  let wins = 0;
  for (const a of refused) for (const b of absent) wins += a > b ? 1 : a === b ? 0.5 : 0;
  return wins / (refused.length * absent.length);
}

type Records = NonNullable<ReturnType<ReturnType<typeof recordsOf>['get']>>;
type Question = Parameters<Records['gate']['decide']>[0];

/** How long the gate takes, without HTTP and without the grid. */
async function measureGate(hospital: Records, question: Question, names: ReadonlyMap<string, string>) {
  const { gate, resources } = hospital;
  const known = [...names];
  const ask = async (record: string): Promise<number> => {
    const startMs = performance.now();
    const found = await resources.find('Observation', record);
    const candidates = found === undefined ? [] : [found];
    const asked = { record: `Observation/${record}` };
    for await (const _none of await gate.release(question, candidates, asked));
    await gate.toldReason(question, candidates, asked);
    return performance.now() - startMs;
  };
  const askNobody = async (record: string): Promise<number> => {
    const startMs = performance.now();
    await resources.find('Observation', record);
    return performance.now() - startMs;
  };
  const times = { refused: [] as number[], absent: [] as number[], control: [] as number[] };
  for (let round = 0; round < gateRounds; round += 1) {
    const [, record = ''] = known[(round * 11) % known.length] ?? [];
    const refuse = async (): Promise<unknown> => times.refused.push(await ask(record));
    const miss = async (): Promise<unknown> => times.absent.push(await ask(newId()));
    for (const one of round % 2 === 0 ? [refuse, miss] : [miss, refuse]) await one();
    times.control.push(await askNobody(newId()));
  }
  return [
    line('refused or not here: at the gate', times.refused, times.absent),
    { ...line('control: refused or not asked', times.refused, times.control), limit: undefined, ratio: undefined },
  ];
}

function line(name: string, refused: readonly number[], absent: readonly number[]): Measurement {
  const area = areaUnderCurve(refused, absent);
  const value = Number(Math.max(area, 1 - area).toFixed(3));
  return { name, unit: 'AUC', value, limit, ratio: Number((value / limit).toFixed(3)) };
}

async function measure(node: RunningNode, token: string, records: ReadonlyMap<string, string>): Promise<Measurement[]> {
  const known = [...records];
  const base = `${node.url}/org/hospital/fhir/R4/`;
  const lines: Measurement[] = [];
  for (const [name, pathOf] of Object.entries(exits)) {
    const times = { refused: [] as number[], absent: [] as number[] };
    const ask = async (round: number): Promise<void> => {
      const [patient = '', record = ''] = known[(round * 11) % known.length] ?? [];
      const asked = [
        ['refused', { patient, record }] as const,
        ['absent', { patient: newId(), record: newId() }] as const,
      ];
      for (const [kind, id] of round % 2 === 0 ? asked : asked.reverse()) {
        times[kind].push(await timeOf(base + pathOf(id), token));
      }
    };
    for (let round = 0; round < rounds; round += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, (_, n) => ask(round + n)));
    }
    lines.push(line(`refused or not here: ${name} by HTTP`, times.refused, times.absent));
  }
  return lines;
}

export async function benchAbsence(): Promise<Measurement[]> {
  const dir = mkdtempSync(join(process.env.SALUS_BENCH_DIR ?? tmpdir(), 'salus-bench-absence-'));
  const dataDir = join(dir, 'node');
  await createSandbox(dataDir);
  const node = await startNode({ dataDir, port: 0, logLevel: 'silent' });
  try {
    const hospital = recordsOf(node).get('hospital');
    if (hospital === undefined) throw new Error('no records');
    const records = new Map<string, string>();
    const ids = Array.from({ length: patientCount }, newId);
    await hospital.import(async function* () {
      yield* bundle(ids, records);
    });
    const did: Did = `did:salus:${toBase64url(new Uint8Array(randomBytes(20)))}`;
    const { organization } = hospital;
    await organization.execute([{ type: 'identity/registerPractitioner', did, roles: ['clerk'] }]);
    const subject = { kind: 'practitioner' as const, id: did };
    const { chain } = node;
    const token = await organization.keys.token({ chain, subject, purpose: 'TREAT', nowMs: Date.now() });
    const requester: Question['requester'] = {
      ...{ kind: 'member', organization: organization.profile, subject, roles: ['clerk'], purpose: 'TREAT' },
      ...{ tokenId: '', expiresMs: Number.MAX_SAFE_INTEGER, impersonated: false },
    };
    const question: Question = { requester, purpose: 'TREAT', action: 'read', exit: 'read' };
    return [...(await measureGate(hospital, question, records)), ...(await measure(node, token, records))];
  } finally {
    await node.stop();
    rmSync(dir, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const measurement of await benchAbsence()) print(measurement);
}
