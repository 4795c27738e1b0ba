import { relative } from 'node:path';
import { createSandbox, inspectDirectory, newStorePlace, type RunningNode } from '@salus/server';
import { type AddCommand, dataDirDefault, examples, integerOption } from '../cli.ts';
import { demoPatientsDefault, fillSandbox } from '../demo/sandbox-people.ts';
import { type NodeCommandOptions, nodeOptions, runUntilSignal } from './node-options.ts';

const patientsMax = 10_000;

interface DemoOptions extends NodeCommandOptions {
  patients: number;
}

/** Fills the sandbox while the node answers already; what goes wrong there does not end the node. */
function fillBehind(node: RunningNode, patients: number): () => Promise<void> {
  const abort = new AbortController();
  const filling = fillSandbox(node, patients, abort.signal).catch((error) => {
    if (!abort.signal.aborted) node.log.fault('', 'filling the sandbox', error);
  });
  return () => {
    abort.abort();
    return filling;
  };
}

function walkthroughCommand(url: string, dataDir: string): string {
  const here = relative('', dataDir);
  const data = here === dataDirDefault ? '' : ` --data ${here.startsWith('..') ? dataDir : here}`;
  return `npx salus walkthrough --url ${url}${data}`;
}

function welcome(node: RunningNode, dataDir: string): string {
  const organizations = node.members.map(({ slug, name }) => `  ${slug.padEnd(12)}${name}`);
  return [
    `A Salus sandbox runs at ${node.url}`,
    '',
    'Organisations:',
    ...organizations,
    '',
    'Where to go next:',
    `  ${node.url}/               what runs here`,
    `  ${node.url}/walkthrough    the way of a record, explained`,
    `  ${node.url}/api/reference  everything that can be asked`,
    'See it played, in another terminal:',
    `  ${walkthroughCommand(node.url, dataDir)}`,
    '',
    `Data: ${dataDir}   Chain: ${node.chain}`,
    'Everything here is made up: put no real data into it. Ctrl-C stops the node.',
  ].join('\n');
}

export const addDemo: AddCommand = (program, cli) => {
  const command = program
    .command('demo')
    .summary('run a sandbox consortium')
    .description(
      'Runs a node with a sandbox consortium: hospital, clinic, payer and regulator. Creates it in the data directory ' +
        'when there is none yet, and leaves it running. Staff (doctor-1, nurse-1, clerk-1, officer-1) and patients come ' +
        'in while it runs already.',
    );
  nodeOptions(command)
    .option(
      '--patients <number>',
      'patients of the sandbox',
      integerOption('--patients', 0, patientsMax),
      demoPatientsDefault,
    )
    .addHelpText(
      'after',
      examples('salus demo', 'salus demo --data /tmp/salus --port 9000', 'npm start -- --port 9000'),
    )
    .action(
      cli.action<DemoOptions, []>(async (options) => {
        if (inspectDirectory(options.data) === 'absent') {
          cli.say(`Creating a sandbox in ${options.data}`, options);
          await createSandbox(options.data, { store: options.database === undefined ? undefined : newStorePlace() });
        }
        await runUntilSignal(options, (node) => {
          const value = { ...node.status(), url: node.url, dataDir: options.data, pid: process.pid };
          cli.print({ value, text: welcome(node, options.data) }, options);
          return fillBehind(node, options.patients);
        });
        return undefined;
      }),
    );
};
