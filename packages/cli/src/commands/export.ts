import { rmSync } from 'node:fs';
import { routes, send } from '@salus/api';
import {
  accessPart,
  type ExportReport,
  exportPatient,
  itemsOfLines,
  NodeErrorCodes,
  NodeFault,
  parseSubject,
  readOrganization,
  recordsPart,
  refuseTaken,
  type Subject,
  staffDid,
  startNode,
  writeExport,
} from '@salus/server';
import { type AddCommand, examples, type GlobalOptions, onInterrupt, usageFault } from '../cli.ts';

interface Options extends GlobalOptions {
  org: string;
  patient: string;
  out: string;
  as?: string;
  role?: string[];
  purpose?: string;
  url?: string;
  token?: string;
}

function subjectOf(as: string | undefined): Subject | undefined {
  const subject = as === undefined ? undefined : parseSubject(as);
  if (as !== undefined && subject === undefined)
    throw usageFault('--as must be system, practitioner:ID or patient:ID.');
  return subject;
}

/** Without a server: opens the data directory, which no other process may use meanwhile. */
async function exportDirectory({
  data,
  database,
  org,
  patient,
  out,
  as,
  role,
  purpose,
}: Options): Promise<ExportReport> {
  const subject = subjectOf(as);
  const node = await startNode({ dataDir: data, storeUrl: database, offline: true, parts: [recordsPart, accessPart] });
  try {
    return await exportPatient(node, {
      ...{ slug: org, patient, out },
      ...(subject !== undefined && { subject }),
      ...(role !== undefined && { roles: role }),
      ...(purpose !== undefined && { purpose }),
    });
  } finally {
    await node.stop();
  }
}

/** A token for whoever takes the copy, made with the organisation's key in the data directory. */
async function ownToken({ data, org, as, role, purpose }: Options): Promise<string> {
  const { keys, directory, sandbox } = readOrganization(data, org);
  const given = subjectOf(as) ?? { kind: 'system' };
  // The node hands the patient's own copy to a system of the organisation: nobody has to pass for the patient.
  const isPerson = given.kind === 'practitioner';
  const subject: Subject = isPerson ? { ...given, id: staffDid(keys.all, given.id) } : { kind: 'system' };
  if (isPerson && !sandbox) throw new NodeFault(NodeErrorCodes.impersonationForbidden);
  const { chain } = directory.manifest;
  return await keys.token({ chain, subject, roles: role ?? [], purpose, impersonated: isPerson, nowMs: Date.now() });
}

async function exportUrl(url: string, options: Options): Promise<ExportReport> {
  const { org, patient, out, as, purpose } = options;
  const subject = subjectOf(as);
  if (subject?.kind === 'patient' && subject.id !== patient) throw usageFault('A patient takes their own record only.');
  const given = options.token ?? process.env.SALUS_TOKEN;
  const token = given ?? (await ownToken(options));
  const body = {
    patient,
    ...(purpose !== undefined && { purpose }),
    ...(subject?.kind === 'system' && { asSystem: true }),
  };
  const call = { params: { slug: org }, body };
  const response = await send({ baseUrl: url, token: () => token }, routes.exportRecords, call);
  if (response.body === null) throw new NodeFault(NodeErrorCodes.exportCut);
  return await writeExport(out, itemsOfLines(response.body));
}

function textOf({ resources, types, receipts }: ExportReport, out: string): string {
  const counts = Object.entries(types).sort(([left], [right]) => (left < right ? -1 : 1));
  return [
    `${resources} resources in ${counts.length} files in ${out}:`,
    ...counts.map(([type, count]) => `  ${type}.ndjson  ${count}`),
    `The ledger recorded the export first: ${receipts.join(', ')}, to be checked with \`salus verify\`.`,
    'These files are readable by whoever gets them: keep and hand them over accordingly.',
  ].join('\n');
}

export const addExport: AddCommand = (program, cli) => {
  program
    .command('export')
    .summary('write a patient’s whole record as FHIR NDJSON')
    .description(
      'Writes what an organisation keeps of a patient as FHIR R4 NDJSON, one file per type, with the receipts that prove ' +
        'the export. It goes through the consent gate as every access and is on the ledger before the first byte is ' +
        'written. Works on the data directory while no node runs there, or asks a running node with --url.',
    )
    .requiredOption('--org <slug>', 'organisation that keeps the record')
    .requiredOption('--patient <id>', 'FHIR id of the patient there')
    .requiredOption('--out <dir>', 'directory to write to; empty or not there yet')
    .option('--as <subject>', 'who takes it: patient:ID, practitioner:DID or system (default: the patient)')
    .option('--role <role...>', 'roles of the practitioner, where the ledger does not know them')
    .option('--purpose <code>', 'HL7 PurposeOfUse (default: PATRQT, what a patient asks for)')
    .option('--url <url>', 'address of a running node; without it the data directory is opened')
    .option('--token <token>', 'token for --url (default: SALUS_TOKEN, or one made in the data directory)')
    .addHelpText(
      'after',
      examples(
        'salus export --data /srv/salus --org hospital --patient 12345 --out record/',
        'salus export --url http://127.0.0.1:8080 --org hospital --patient 12345 --out record/',
        'salus export --org hospital --patient 12345 --as practitioner:doctor-1 --role doctor --purpose TREAT --out record/',
      ),
    )
    .action(
      cli.action<Options, []>(async (options) => {
        const { url, out } = options;
        refuseTaken(out);
        // What is in clear and not whole does not stay.
        const release = onInterrupt(() => rmSync(out, { recursive: true, force: true }));
        const exporting = url === undefined ? exportDirectory(options) : exportUrl(url, options);
        const report = await exporting.finally(release);
        return { value: { ok: true, ...report }, text: textOf(report, out) };
      }),
    );
};
