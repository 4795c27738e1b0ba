import { readFileSync } from 'node:fs';
import { isDid, parseAnchor } from '@salus/protocol';
import { openDirectoryAudit, openUrlAudit } from '../audit/sources.ts';
import { AccountingAuditor, type CheckedAccess, type PatientAudit } from '../audit/verify-accounting.ts';
import { type AddCommand, examples, exitCodes, type GlobalOptions, type Outcome, usageFault } from '../cli.ts';
import { ProgressLine } from '../progress.ts';

interface Options extends GlobalOptions {
  org: string;
  patient?: string;
  url?: string;
  token?: string;
  anchor?: string;
}

const accessesShown = 20;

function line({ timeMs, who, purpose, exit, outcome, reason, records, path, verified }: CheckedAccess): string {
  const given = outcome === 'released' ? `${records} records` : outcome;
  const what = outcome === 'denied' ? `refused (${reason})` : given;
  const inOrder = path === 'local' ? 'log only' : 'proven';
  const proof = verified ? inOrder : 'NOT PROVEN';
  return `  ${new Date(timeMs).toISOString()}  ${purpose.padEnd(8)} ${exit.padEnd(10)} ${what.padEnd(14)} ${proof}  ${who}`;
}

function textOf({ patient, complete, counted, accesses, problems }: PatientAudit): string[] {
  const total = counted.routine + counted.releases;
  const more = accesses.length > accessesShown ? [`  … and ${accesses.length - accessesShown} more (--json)`] : [];
  return [
    `${patient}: ${accesses.length} accesses, ${total} counted by the ledger: ${complete ? 'complete' : 'NOT COMPLETE'}`,
    ...accesses.slice(0, accessesShown).map(line),
    ...more,
    ...problems.map((problem) => `  ! ${problem}`),
  ];
}

function outcomeOf(custodian: string, patients: PatientAudit[]): Outcome {
  const complete = patients.every((one) => one.complete);
  const accesses = patients.reduce((sum, one) => sum + one.accesses.length, 0);
  const text = [
    ...patients.filter((one) => one.accesses.length > 0 || !one.complete).flatMap(textOf),
    `${patients.length} patients, ${accesses} accesses: the accounting is ${complete ? 'complete' : 'NOT complete'}.`,
  ].join('\n');
  return {
    value: { ok: complete, complete, custodian, patients },
    text,
    exitCode: complete ? exitCodes.ok : exitCodes.failed,
  };
}

async function auditOf(options: Options): Promise<Outcome> {
  const { data, org, patient, url, token } = options;
  if (patient !== undefined && !isDid(patient)) throw usageFault('--patient must be the pseudonym (DID) of a patient.');
  if (url !== undefined && patient === undefined)
    throw usageFault('A running node shows one patient at a time: add --patient.');
  const anchor = options.anchor === undefined ? undefined : parseAnchor(readFileSync(options.anchor));
  const source =
    url === undefined
      ? await openDirectoryAudit(options, org, anchor)
      : await openUrlAudit(url, org, {
          data,
          ...(token !== undefined && { token }),
          ...(anchor !== undefined && { anchor }),
        });
  const progress = new ProgressLine(options.json !== true);
  try {
    const auditor = new AccountingAuditor(source);
    const wanted = isDid(patient) ? [patient] : (source.patients() ?? []);
    const audits: PatientAudit[] = [];
    for (const [position, one] of wanted.entries()) {
      progress.show(position / wanted.length, `patient ${position + 1}/${wanted.length}`);
      audits.push(await auditor.audit(one));
    }
    return outcomeOf(source.custodian, audits);
  } finally {
    progress.clear();
    await source.close();
  }
}

export const addAudit: AddCommand = (program, cli) => {
  program
    .command('audit')
    .summary('check who looked: the accounting of disclosures')
    .description(
      'Shows every access to the records that an organisation keeps, and proves the list: each entry fits its commitment, ' +
        'each commitment is in a transaction whose receipt is checked offline against the anchor, and the counters that ' +
        'the ledger keeps for the patient say that none is left out. Exits with 1 when it is not complete.',
    )
    .requiredOption('--org <slug>', 'organisation that keeps the records')
    .option('--patient <did>', 'one patient; without it all (data directory only)')
    .option('--url <url>', 'address of a running node; without it the data directory is opened')
    .option(
      '--token <token>',
      'token of a privacy officer for --url (default: SALUS_TOKEN, or one made in the data directory)',
    )
    .option('--anchor <file>', 'trust anchor (default: the one that the directory or node gives)')
    .addHelpText(
      'after',
      examples(
        'salus audit --data /srv/salus --org hospital',
        'salus audit --url http://127.0.0.1:8080 --org hospital --patient did:salus:… --anchor anchor.json --json',
      ),
    )
    .action(cli.action<Options, []>((options) => auditOf(options)));
};
