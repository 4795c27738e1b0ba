import { accessPart, type ExportReport, exportPatient, parseSubject, recordsPart, startNode } from '@salus/server';
import { type AddCommand, examples, type GlobalOptions, usageFault } from '../cli.ts';

interface Options extends GlobalOptions {
  org: string;
  patient: string;
  out: string;
  as?: string;
  role?: string[];
  purpose?: string;
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
        'written. Works on the data directory while no node runs there.',
    )
    .requiredOption('--org <slug>', 'organisation that keeps the record')
    .requiredOption('--patient <id>', 'FHIR id of the patient there')
    .requiredOption('--out <dir>', 'directory to write to; empty or not there yet')
    .option('--as <subject>', 'who takes it: patient:ID, practitioner:DID or system (default: the patient)')
    .option('--role <role...>', 'roles of the practitioner, where the ledger does not know them')
    .option('--purpose <code>', 'HL7 PurposeOfUse', 'PATRQT')
    .addHelpText(
      'after',
      examples(
        'salus export --data /srv/salus --org hospital --patient 12345 --out record/',
        'salus export --org hospital --patient 12345 --as practitioner:did:salus:… --purpose TREAT --out record/',
      ),
    )
    .action(
      cli.action<Options, []>(async ({ data, org, patient, out, as, role, purpose }) => {
        const subject = as === undefined ? undefined : parseSubject(as);
        if (as !== undefined && subject === undefined)
          throw usageFault('--as must be system, practitioner:ID or patient:ID.');
        const node = await startNode({ dataDir: data, offline: true, parts: [recordsPart, accessPart] });
        try {
          const report = await exportPatient(node, {
            ...{ slug: org, patient, out },
            ...(subject !== undefined && { subject }),
            ...(role !== undefined && { roles: role }),
            ...(purpose !== undefined && { purpose }),
          });
          return { value: { ok: true, ...report }, text: textOf(report, out) };
        } finally {
          await node.stop();
        }
      }),
    );
};
