import { createInterface as createLines } from 'node:readline';
import type { Command } from 'commander';
import type { CheckedAccess } from '../audit/verify-accounting.ts';
import { type Cli, examples, exitCodes, integerOption, usageFault } from '../cli.ts';
import { ownRecord, watch, whoLooked } from '../wallet/reading.ts';
import { open, type WalletOptions } from './wallet-options.ts';

const secondMs = 1_000;
const watchSecondsMax = 86_400;

function describe(access: CheckedAccess): string {
  const { timeMs, who, purpose, exit, outcome, records, verified } = access;
  const proof = verified ? 'proven' : 'NOT PROVEN';
  return `  ${new Date(timeMs).toISOString()} ${who}: ${outcome}, ${records} entries, ${purpose}, ${exit}, ${proof}`;
}

export function addReading(wallet: Command, cli: Cli): void {
  wallet
    .command('who-looked')
    .description('Every access to your records, who, when, why and under which basis.')
    .option('--org <slug>', 'at one organisation only')
    .addHelpText('after', examples('salus wallet who-looked', 'salus wallet who-looked --org hospital --json'))
    .action(
      cli.action<WalletOptions & { org?: string }, []>(async (options) => {
        const opened = await open(options);
        const contexts = options.org === undefined ? opened.state.contexts : [opened.context(options.org)];
        const value = [];
        for (const context of contexts) value.push(await whoLooked(opened, context));
        const text = value.map(({ custodian, complete, entries, problems }) => {
          const state = complete ? 'complete, as the ledger counts and proves' : 'NOT complete';
          const wrong = problems.map((problem) => `  ! ${problem}`);
          return [`${custodian} (${entries.length}, ${state})`, ...entries.map(describe), ...wrong].join('\n');
        });
        const exitCode = value.every(({ complete }) => complete) ? exitCodes.ok : exitCodes.failed;
        return { value, text: text.join('\n'), exitCode };
      }),
    );
  wallet
    .command('history')
    .description('Your own record, joined over all organisations that this wallet is linked with.')
    .addHelpText('after', examples('salus wallet history --json'))
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const opened = await open(options);
        const value = [];
        for (const context of opened.state.contexts) value.push(await ownRecord(opened, context));
        const text = value.map(({ custodian, entries, resources }) => {
          const types = new Set(resources.map(({ resourceType }) => String(resourceType)));
          return `${custodian}: ${entries} entries (${[...types].sort().join(', ')})`;
        });
        return { value, text: text.length === 0 ? 'Linked with nobody yet.' : text.join('\n') };
      }),
    );
  wallet
    .command('watch')
    .description('Tells who asks, who was answered and who broke the glass, as it happens; a line each, until Ctrl-C.')
    .option('--seconds <n>', 'ends by itself', integerOption('--seconds', 1, watchSecondsMax))
    .addHelpText('after', examples('salus wallet watch', 'salus wallet watch --seconds 60 --json'))
    .action(
      cli.action<WalletOptions & { seconds?: number }, []>(async (options) => {
        const opened = await open(options);
        const abort = new AbortController();
        process.once('SIGINT', () => abort.abort());
        if (options.seconds !== undefined) setTimeout(() => abort.abort(), options.seconds * secondMs).unref();
        const tell = (notice: { custodian: string; type: string; data: unknown }): void => {
          cli.print(
            { value: notice, text: `${notice.custodian}: ${notice.type} ${JSON.stringify(notice.data)}` },
            options,
          );
        };
        await Promise.all(opened.state.contexts.map((context) => watch(opened, context, tell, abort.signal)));
        return undefined;
      }),
    );
}

/** One process for many commands: a line of arguments in (JSON), a line with exit code and output back. */
export function addSession(wallet: Command): void {
  wallet
    .command('session')
    .description(
      'Reads commands from standard input, one JSON array of arguments a line, and answers each with a line.',
    )
    .addHelpText('after', examples('echo \'["requests"]\' | salus wallet session'))
    .action(async (_options, command: Command) => {
      const { wallet: dir } = command.optsWithGlobals<WalletOptions>();
      const { run } = await import('../program.ts');
      for await (const line of createLines({ input: process.stdin })) {
        let output = 'null';
        const args: unknown = JSON.parse(line);
        if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string'))
          throw usageFault('A JSON array of texts.');
        const out = (text: string): void => {
          output = text;
        };
        const io = { out, err: () => undefined };
        const code = await run(['--json', 'wallet', '--wallet', dir, ...args], io);
        process.stdout.write(`{"code":${code},"output":${output}}\n`);
      }
    });
}
