import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  type AddCommand,
  examples,
  exitCodes,
  type GlobalOptions,
  integerOption,
  onInterrupt,
  passDatabaseOn,
  usageFault,
} from '../cli.ts';
import { NetworkStage } from '../walkthrough/network-stage.ts';
import { OwnStage, RunningStage, type Stage } from '../walkthrough/stage.ts';
import { Walkthrough, type WalkthroughReport } from '../walkthrough/walkthrough.ts';

const patientsMax = 10_000;

interface Options extends GlobalOptions {
  bundles?: string[];
  out?: string;
  patients?: number;
  url?: string;
  network?: string;
}

const introduction = `
A ledger is a list that several organisations keep together. Everybody has a copy, nobody can change or remove a line
without all others noticing, and no line holds anything readable about a person. Here it holds who may see what, what was
asked, decided and released. The records themselves stay encrypted at whoever keeps them. This plays one record's way.
`;

/** Where to look after the run, for somebody who wants to see what lies there now. */
function lookingAround(keep: string): string[] {
  const wallet = join(keep, 'wallets', '1');
  return [
    `Everything is still in ${keep}:`,
    `  npx salus start --data ${join(keep, 'node')}      runs that node again`,
    `  npx salus audit --data ${join(keep, 'node')} --org hospital      who looked, for the organisation (stopped)`,
    `  SALUS_WALLET_PASSPHRASE=$(cat ${wallet}.passphrase) npx salus wallet directives --wallet ${wallet}`,
  ];
}

function textOf({ ok, steps, receipts, patients, resources }: WalkthroughReport, out: string, keep?: string): string {
  const good = steps.filter((step) => step.ok).length;
  return [
    '',
    `${ok ? 'All' : 'Not all'} steps held: ${good} of ${steps.length}; ${patients} patients, ${resources} resources.`,
    receipts.length === 0
      ? 'No receipts: it ended before them.'
      : `${receipts.length} receipts and proofs lie in ${out}.`,
    ...(receipts[0] === undefined
      ? []
      : [`  npx salus verify ${join(out, receipts[0])}      then change a byte of it`]),
    ...(keep === undefined ? [] : lookingAround(keep)),
  ].join('\n');
}

function stageOf({ url, network, data, isDataGiven }: Options): { stage: Stage; keep?: string } {
  if (network !== undefined && (url !== undefined || isDataGiven === true)) {
    throw usageFault('--network is a place of its own: give neither --url nor --data with it.');
  }
  if (network !== undefined) return { stage: new NetworkStage(resolve(network)) };
  if (url !== undefined) return { stage: new RunningStage(url, data) };
  if (isDataGiven !== true) return { stage: new OwnStage(undefined) };
  return { stage: new OwnStage(data), keep: data };
}

export const addWalkthrough: AddCommand = (program, cli) => {
  program
    .command('walkthrough')
    .summary('the main job, step by step, explained')
    .description(
      'Plays the main job on records: import, ask, decide with the patient’s own key, read, who looked, revoke, verify ' +
        'offline. Starts a sandbox node and wallets as processes of their own in a temporary directory, and removes them; ' +
        '--data keeps them in that directory. With --url it plays on a sandbox that runs already, whose data directory ' +
        '(--data, as for the node) makes the tokens of its people. With --network it plays on the members of a network that ' +
        'runs (`salus network start`), each with its own processes, keys and data.',
    )
    .option('--url <url>', 'a sandbox node that runs on this machine already')
    .option('--network <dir>', 'directory of a network whose members run on this machine')
    .option('--bundles <path...>', 'FHIR bundles or directories (default: patients that Salus makes up)')
    .option('--out <dir>', 'where receipts and proofs are written (default: a new temporary directory)')
    .option('--patients <n>', 'how many patients at the most', integerOption('--patients', 1, patientsMax))
    .addHelpText(
      'after',
      examples(
        'salus walkthrough',
        'salus walkthrough --data /tmp/walked',
        'salus walkthrough --url http://127.0.0.1:8080',
        'salus walkthrough --network /srv/network --bundles bundles/',
        'salus walkthrough --bundles bundles/ --json --out proofs',
      ),
    )
    .action(
      cli.action<Options, []>(async (options) => {
        passDatabaseOn(options);
        const { stage, keep } = stageOf(options);
        const out = resolve(options.out ?? mkdtempSync(join(tmpdir(), 'salus-proofs-')));
        cli.say(introduction, options);
        const walkthrough = new Walkthrough({
          bundles: options.bundles ?? [],
          out,
          patientsMax: options.patients ?? patientsMax,
          stage,
          explain: (name, text) => cli.say(`\n${name}\n  ${text}`, options),
          done: ({ ok, ms, detail }) => cli.say(`  ${ok ? '✓' : '✗'} ${detail} (${ms} ms)`, options),
        });
        const release = onInterrupt(() => walkthrough.close());
        const report = await walkthrough.run().finally(release);
        const exitCode = report.ok ? exitCodes.ok : exitCodes.failed;
        return {
          value: { ...report, ...(keep !== undefined && { kept: keep }) },
          text: textOf(report, out, keep),
          exitCode,
        };
      }),
    );
};
