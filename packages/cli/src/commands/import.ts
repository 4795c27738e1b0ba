import { createReadStream, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createClient, type ImportReport } from '@salus/api';
import { NodeErrorCodes, NodeFault, readOrganization, recordsOf, recordsPart, startNode } from '@salus/server';
import { readFhir } from '@salus/standards';
import { type AddCommand, examples, exitCodes, type GlobalOptions, integerOption, usageFault } from '../cli.ts';
import { ProgressLine } from '../progress.ts';

const fhirFile = /\.(json|ndjson)(\.gz)?$/i;
const entriesMax = 5_000_000;
const errorsShown = 10;
const tokenLifeMs = 900_000;
/** What others refer to by identifier: who and where. These files come first, whatever their names. */
const directoryTypes = new Set(['Organization', 'Location', 'Practitioner', 'PractitionerRole']);

interface Options extends GlobalOptions {
  org: string;
  url?: string;
  token?: string;
  from?: number;
}

type FileError = ImportReport['errors'][number] & { file: string };

interface Total extends Omit<ImportReport, 'errors'> {
  files: number;
  errors: FileError[];
}

type ImportOne = (file: string, onProgress: (entries: number) => void) => Promise<ImportReport>;

interface Target {
  importOne: ImportOne;
  finish(): Promise<void>;
}

function expand(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => fhirFile.test(name));
  return names.sort().map((name) => join(path, name));
}

async function firstType(file: string): Promise<string> {
  const source = createReadStream(file);
  try {
    for await (const event of readFhir(source)) {
      return event.kind === 'entry' ? event.resource.resourceType : '';
    }
    return '';
  } finally {
    source.destroy();
  }
}

/** All files, those of organisations first, then those of practitioners, then the rest in the order given. */
async function inOrder(paths: readonly string[]): Promise<string[]> {
  const files = paths.flatMap(expand);
  if (files.length === 0) throw usageFault('There is no .json, .ndjson or .gz file of these there.');
  const ranked = await Promise.all(
    files.map(async (file) => {
      const type = await firstType(file);
      return { file, rank: type === 'Organization' ? 0 : directoryTypes.has(type) ? 1 : 2 };
    }),
  );
  return ranked.sort((left, right) => left.rank - right.rank).map(({ file }) => file);
}

/** Without a server: opens the data directory, which no other process may use meanwhile. */
async function openDirectoryTarget({ data, database, org, from }: Options): Promise<Target> {
  const node = await startNode({ dataDir: data, storeUrl: database, offline: true, parts: [recordsPart] });
  const records = recordsOf(node).get(org);
  if (records === undefined) {
    await node.stop();
    throw new NodeFault(NodeErrorCodes.organizationUnknown);
  }
  return {
    importOne: (file, onProgress) =>
      records.import(() => createReadStream(file), { from: from ?? 0, onProgress, drain: false }),
    async finish() {
      try {
        await records.anchorer.drain();
      } finally {
        await node.stop();
      }
    },
  };
}

function openUrlTarget(url: string, options: Options): Target {
  const { org, data, from } = options;
  const given = options.token ?? process.env.SALUS_TOKEN;
  const ownToken = async (): Promise<string> => {
    const { keys, directory } = readOrganization(data, org);
    const { chain } = directory.manifest;
    return await keys.token({ chain, subject: { kind: 'system' }, nowMs: Date.now(), lifeMs: tokenLifeMs });
  };
  const client = createClient({ baseUrl: url, token: async () => given ?? (await ownToken()) });
  return {
    importOne: (file) =>
      client.importRecords({
        params: { slug: org },
        query: from === undefined ? {} : { from },
        body: createReadStream(file),
      }),
    finish: () => Promise.resolve(),
  };
}

function add(total: Total, file: string, report: ImportReport): void {
  total.resources += report.resources;
  total.accepted += report.accepted;
  total.rejected += report.rejected;
  total.unchanged += report.unchanged;
  total.complete &&= report.complete;
  const known = new Set(total.patients.map(({ id }) => id));
  total.patients.push(...report.patients.filter(({ id }) => !known.has(id)));
  total.errors.push(...report.errors.map((error) => ({ file: basename(file), ...error })));
}

async function importAll(files: readonly string[], target: Target, line: ProgressLine): Promise<Total> {
  const startMs = performance.now();
  const nothing = { resources: 0, accepted: 0, rejected: 0, unchanged: 0, seconds: 0, complete: true };
  const total: Total = { files: files.length, ...nothing, patients: [], errors: [] };
  try {
    for (const [position, file] of files.entries()) {
      const show = (entries: number): void =>
        line.show(
          position / files.length,
          `${total.resources + entries} resources, file ${position + 1}/${files.length}`,
        );
      show(0);
      add(total, file, await target.importOne(file, show));
    }
    line.show(1, 'anchoring on the ledger');
  } finally {
    await target.finish();
    line.clear();
  }
  total.seconds = Math.round(performance.now() - startMs) / 1000;
  return total;
}

function textOf(total: Total): string {
  const { files, resources, accepted, rejected, unchanged, seconds, patients, errors, complete } = total;
  const rate = seconds > 0 ? Math.round(resources / seconds) : resources;
  const kept = unchanged > 0 ? ` (${unchanged} of them here already)` : '';
  const lines = errors
    .slice(0, errorsShown)
    .map(({ file, entry, code, message }) => `  ${file} entry ${entry}: ${code} ${message}`);
  const more = errors.length > errorsShown ? [`  … and ${errors.length - errorsShown} more (--json shows all)`] : [];
  return [
    `${accepted} of ${resources} resources accepted${kept}, ${rejected} rejected`,
    `${patients.length} patients, ${files} files, ${seconds} s, ${rate} resources/s`,
    ...(complete ? [] : ['An input could not be read to its end: get it again and import it once more.']),
    ...lines,
    ...more,
  ].join('\n');
}

export const addImport: AddCommand = (program, cli) => {
  program
    .command('import')
    .summary('import FHIR files into an organisation')
    .description(
      'Imports FHIR R4: Bundles, NDJSON or single resources, gzip too; a directory stands for the files in it. Works on the ' +
        'data directory while no node runs there, or sends to a running node with --url. Repeating it changes nothing.',
    )
    .argument('<file...>', 'files or directories')
    .requiredOption('--org <slug>', 'organisation that keeps the records')
    .option('--url <url>', 'address of a running node; without it the data directory is opened')
    .option('--token <token>', 'system token for --url (default: SALUS_TOKEN, or one made in the data directory)')
    .option('--from <entry>', 'passes over the entries before this one', integerOption('--from', 0, entriesMax))
    .addHelpText(
      'after',
      examples(
        'salus import --org hospital bundles/',
        'salus import --org hospital --url http://127.0.0.1:8080 patient.json.gz',
        'salus import --org clinic --json export.ndjson',
      ),
    )
    .action(
      cli.action<Options, [string[]]>(async (options, paths) => {
        const files = await inOrder(paths);
        const { url } = options;
        const target = url === undefined ? await openDirectoryTarget(options) : openUrlTarget(url, options);
        const total = await importAll(files, target, new ProgressLine(options.json !== true));
        const isWhole = total.rejected === 0 && total.complete;
        return { value: total, text: textOf(total), exitCode: isWhole ? exitCodes.ok : exitCodes.failed };
      }),
    );
};
