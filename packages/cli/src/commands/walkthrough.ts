import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type AddCommand, examples, exitCodes, type GlobalOptions, integerOption } from '../cli.ts';
import { Walkthrough, type WalkthroughReport } from '../walkthrough/walkthrough.ts';

const patientsMax = 10_000;

interface Options extends GlobalOptions {
  bundles?: string[];
  out?: string;
  patients?: number;
}

function textOf({ ok, steps, receipts, patients, resources }: WalkthroughReport, out: string): string {
  const good = steps.filter((step) => step.ok).length;
  return [
    `${ok ? 'All' : 'Not all'} steps held: ${good} of ${steps.length}; ${patients} patients, ${resources} resources.`,
    `${receipts.length} receipts and proofs lie in ${out}: try \`salus verify FILE\` on one, then change a byte of it.`,
  ].join('\n');
}

export const addWalkthrough: AddCommand = (program, cli) => {
  program
    .command('walkthrough')
    .summary('the main job, step by step')
    .description(
      'Plays the main job on records: import, ask, decide with the patient’s own key, read, who looked, revoke, verify ' +
        'offline. Starts a sandbox node and wallets as processes of their own in a temporary directory, and removes them.',
    )
    .option('--bundles <path...>', 'FHIR bundles or directories (default: patients that Salus makes up)')
    .option('--out <dir>', 'where receipts and proofs are written (default: a new temporary directory)')
    .option('--patients <n>', 'how many patients at the most', integerOption('--patients', 1, patientsMax))
    .addHelpText('after', examples('salus walkthrough', 'salus walkthrough --bundles bundles/ --json --out proofs'))
    .action(
      cli.action<Options, []>(async (options) => {
        const out = resolve(options.out ?? mkdtempSync(join(tmpdir(), 'salus-proofs-')));
        const walkthrough = new Walkthrough({
          bundles: options.bundles ?? [],
          out,
          patientsMax: options.patients ?? patientsMax,
          explain: (name, text) => cli.say(`\n${name}\n  ${text}`, options),
          done: ({ ok, ms, detail }) => cli.say(`  ${ok ? '✓' : '✗'} ${detail} (${ms} ms)`, options),
        });
        const report = await walkthrough.run();
        return { value: report, text: textOf(report, out), exitCode: report.ok ? exitCodes.ok : exitCodes.failed };
      }),
    );
};
