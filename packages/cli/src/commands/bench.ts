import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type AddCommand, examples, exitCodes, type GlobalOptions, usageFault } from '../cli.ts';

const benchDirectory = new URL('../../../../bench/', import.meta.url);
const namePattern = /^[a-z][a-z0-9-]{0,31}$/;

function pathOf(name: string): string {
  const path = namePattern.test(name) ? fileURLToPath(new URL(`${name}.ts`, benchDirectory)) : '';
  if (!existsSync(path)) throw usageFault('There is no benchmark of that name in bench/.');
  return path;
}

/** Runs a benchmark in a process of its own: what the command has loaded must not be measured with it. */
function runFile(path: string, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [path, ...args], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? exitCodes.failed));
  });
}

export const addBench: AddCommand = (program, cli) => {
  program
    .command('bench')
    .summary('run a benchmark')
    .description(
      'Runs a benchmark of the checkout. It prints one JSON object per line: {name, value, unit, limit, ratio, p50Ms, p99Ms}.',
    )
    .argument('<name>', 'ledger, gate, verify, growth, …')
    .argument('[args...]', 'arguments of the benchmark')
    .allowUnknownOption()
    .addHelpText('after', examples('salus bench ledger --json', 'salus bench verify'))
    .action(
      cli.action<GlobalOptions, [string, string[]]>(async (_options, name, args) => {
        cli.exitCode = await runFile(pathOf(name), args);
        return undefined;
      }),
    );
};
