/** Import and reading of FHIR through the whole node, next to what parsing and encrypting alone cost in the same run. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { gunzipSync } from 'node:zlib';
import { createSandbox, readOrganization, recordsOf, startNode } from '@salus/server';
import { generatePatients } from '@salus/standards';

const synthea = join(process.env.SALUS_DATA ?? join(import.meta.dirname, '../../shared/data'), 'synthea-fhir-r4');
const generatedPatients = 300;
const resourcesPerSecondMin = 1_500;
const turnMsMax = 20;
const everythingMsMax = 2_000;

type Input = { bytes: number; text(): string; open(): AsyncIterable<Uint8Array> };

function print(name: string, value: number, unit: string, limit: number, ratio = value / limit): void {
  const figures = { name, value, unit, limit, ratio };
  console.log(JSON.stringify(figures, (_, one) => (typeof one === 'number' ? Number(one.toPrecision(4)) : one)));
}

/** Synthea's files, those of organisations first; generated patients where there are none. */
function inputs(): Input[] {
  const folders = ['us-ma', 'hiv'].map((name) => join(synthea, name)).filter((path) => existsSync(path));
  const files = folders.flatMap((folder) => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.json.gz'));
    const rank = (name: string): number => (name.includes('hospital') ? 0 : name.includes('practitioner') ? 1 : 2);
    return names.sort((left, right) => rank(left) - rank(right)).map((name) => join(folder, name));
  });
  if (files.length > 0) {
    return files.map((file) => ({
      bytes: readFileSync(file).length,
      text: () => gunzipSync(readFileSync(file)).toString(),
      open: () => createReadStream(file),
    }));
  }
  return generatePatients({ seed: 'bench', count: generatedPatients }).map(({ bundle }) => {
    const text = JSON.stringify(bundle);
    return {
      bytes: text.length,
      text: () => text,
      open: () => [Buffer.from(text)] as unknown as AsyncIterable<Uint8Array>,
    };
  });
}

/** Parsing, hashing and encrypting each entry twice over (as it came, and as it is served), and nothing else. */
function rawRate(list: readonly Input[]): number {
  const start = performance.now();
  let entries = 0;
  const key = randomBytes(32);
  for (const input of list) {
    for (const entry of JSON.parse(input.text()).entry) {
      const bytes = Buffer.from(JSON.stringify(entry));
      createHash('sha256').update(bytes).update(bytes).digest();
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
      cipher.update(bytes);
      cipher.update(bytes);
      cipher.final();
      entries += 1;
    }
  }
  return entries / ((performance.now() - start) / 1_000);
}

/** How late timers were while something ran: the longest turns of the event loop. */
function watchTurns(): { stop(): { maxMs: number; p99Ms: number } } {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  return {
    stop() {
      delay.disable();
      return { maxMs: delay.max / 1e6, p99Ms: delay.percentile(99) / 1e6 };
    },
  };
}

const list = inputs();
const root = mkdtempSync(join(tmpdir(), 'salus-bench-import-'));
const dataDir = join(root, 'node');
await createSandbox(dataDir);
const node = await startNode({ dataDir, port: 0, logLevel: 'error' });
try {
  const records = recordsOf(node).get('hospital');
  if (records === undefined) throw new Error('no hospital');
  const raw = rawRate(list);
  const run = async (): Promise<{ rate: number; patients: string[] }> => {
    const start = performance.now();
    let resources = 0;
    const patients: string[] = [];
    for (const input of list) {
      const report = await records.import(() => input.open(), { drain: false });
      if (report.rejected > 0 || !report.complete) throw new Error(`rejected ${report.rejected}`);
      resources += report.accepted;
      patients.push(...report.patients.map(({ id }) => id));
    }
    await records.anchorer.drain();
    return { rate: resources / ((performance.now() - start) / 1_000), patients };
  };
  const turns = watchTurns();
  const first = await run();
  const { maxMs, p99Ms } = turns.stop();
  print('import, sealed and anchored', first.rate, 'resources/s', resourcesPerSecondMin);
  print('import against parsing, hashing and encrypting alone', first.rate, 'resources/s', raw);
  print('import, longest turn of the event loop', maxMs, 'ms', turnMsMax);
  print('import, 99th percentile of turns', p99Ms, 'ms', turnMsMax);
  print('import of the same again', (await run()).rate, 'resources/s', resourcesPerSecondMin);
  print('memory after it', process.memoryUsage.rss() / 1_048_576, 'MiB', 1_024);
  const sizes: { id: string; count: number }[] = [];
  for (const id of first.patients) sizes.push({ id, count: (await records.resources.ofPatient(id)).length });
  const largest = sizes.sort((left, right) => right.count - left.count)[0];
  const { keys } = readOrganization(dataDir, 'hospital');
  const token = await keys.token({
    chain: node.chain,
    subject: { kind: 'system' },
    purpose: 'HOPERAT',
    nowMs: Date.now(),
  });
  const timeOf = async (path: string): Promise<number> => {
    const start = performance.now();
    const answer = await fetch(`${node.url}/org/hospital/fhir/R4${path}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await answer.text();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
    return performance.now() - start;
  };
  const { id = '', count = 0 } = largest ?? {};
  print(`$everything of ${count} resources`, await timeOf(`/Patient/${id}/$everything`), 'ms', everythingMsMax);
  print(
    'search of a page of 50 observations',
    await timeOf(`/Observation?patient=${id}&_count=50`),
    'ms',
    everythingMsMax,
  );
  print('read of one resource', await timeOf(`/Patient/${id}`), 'ms', 100);
} finally {
  await node.stop();
  rmSync(root, { recursive: true });
}
