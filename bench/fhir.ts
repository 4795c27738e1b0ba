/**
 * How fast FHIR comes in, on the Synthea files of SALUS_DATA (or on generated patients where there are none). The limit
 * is JSON.parse of the same texts, which any import has to pay; ratios are to it, measured in the same run.
 */
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  classify,
  type EntryEvent,
  generatePatients,
  metadataOf,
  ReferenceIndex,
  readFhir,
  rewriteReferences,
} from '@salus/standards';

const root = join(process.env.SALUS_DATA ?? join(import.meta.dirname, '../../shared/data'), 'synthea-fhir-r4');
const generatedPatients = 200;
const roundsMin = 2;

type Source = () => AsyncIterable<Uint8Array>;

function sources(): Source[] {
  if (existsSync(root)) {
    const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.gz'));
    return names.sort().map((name) => () => createReadStream(join(root, name)));
  }
  console.error('SALUS_DATA has no Synthea files: measuring on generated patients.');
  return generatePatients({ seed: 'bench', count: generatedPatients }).map(
    ({ bundle }) =>
      async function* () {
        yield Buffer.from(JSON.stringify(bundle));
      },
  );
}

async function readAll(inputs: Source[], take: (entry: EntryEvent) => void): Promise<number> {
  const start = performance.now();
  for (const input of inputs) {
    for await (const event of readFhir(input())) {
      if (event.kind === 'entry') take(event);
      else if (event.kind === 'fault') throw new Error(event.message);
    }
  }
  return (performance.now() - start) / 1000;
}

function measure(name: string, seconds: number, count: number, limit: number): void {
  const value = Math.round(count / seconds);
  const ratio = Number((value / limit).toFixed(2));
  console.log(JSON.stringify({ name, value, unit: 'resources/s', limit: Math.round(limit), ratio }));
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

const inputs = sources();
const entries: EntryEvent[] = [];
await readAll(inputs, (entry) => entries.push(entry));
const texts = entries.map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
let parse = Number.POSITIVE_INFINITY;
let read = Number.POSITIVE_INFINITY;
for (let round = 0; round < roundsMin; round += 1) {
  parse = Math.min(
    parse,
    timed(() => texts.forEach((text) => void JSON.parse(text))),
  );
  read = Math.min(read, await readAll(inputs, () => {}));
}
const count = entries.length;
const limit = count / parse;
measure('fhir.read', read, count, limit);
measure(
  'fhir.classify',
  timed(() => entries.forEach(({ resource }) => void classify(resource))),
  count,
  limit,
);
measure(
  'fhir.metadata',
  timed(() => entries.forEach(({ resource }) => void metadataOf(resource))),
  count,
  limit,
);
const index = new ReferenceIndex();
const resolve = timed(() => {
  for (const { resource, fullUrl } of entries) index.add(resource, fullUrl);
  for (const { resource, fullUrl } of entries) {
    rewriteReferences(resource, ({ reference }) => {
      const target = index.resolve(reference.reference ?? '', fullUrl);
      return target?.id ? `${target.type}/${target.id}` : undefined;
    });
  }
});
measure('fhir.references', resolve, count, limit);
entries.length = 0;
texts.length = 0;
const rssBefore = process.memoryUsage().rss;
let rssMax = rssBefore;
await readAll([...inputs, ...inputs], () => {
  rssMax = Math.max(rssMax, process.memoryUsage.rss());
});
const growth = Math.round((rssMax - rssBefore) / 1024 / 1024);
console.log(JSON.stringify({ name: 'fhir.memory', value: growth, unit: 'MiB grown over two passes' }));
