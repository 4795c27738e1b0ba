import { softwareVersion } from '@salus/server';
import { Command, CommanderError, Option } from 'commander';
import { type AddCommand, Cli, databaseVariable, dataDirDefault, examples, exitCodes, type Io } from './cli.ts';
import { addAudit } from './commands/audit.ts';
import { addBackup } from './commands/backup.ts';
import { addBench } from './commands/bench.ts';
import { addDemo } from './commands/demo.ts';
import { addDoctor } from './commands/doctor.ts';
import { addExport } from './commands/export.ts';
import { addImport } from './commands/import.ts';
import { addKey } from './commands/key.ts';
import { addNetwork } from './commands/network.ts';
import { addRestore } from './commands/restore.ts';
import { addStart } from './commands/start.ts';
import { addStatus } from './commands/status.ts';
import { addStore } from './commands/store.ts';
import { addToken } from './commands/token.ts';
import { addTx } from './commands/tx.ts';
import { addVerify } from './commands/verify.ts';
import { addLight } from './commands/verify-light.ts';
import { addWalkthrough } from './commands/walkthrough.ts';
import { addWallet } from './commands/wallet.ts';

/** Every command, in the order of the help. A new one is a file in commands/ and a line here. */
const commands: readonly AddCommand[] = [
  addDemo,
  addStart,
  addNetwork,
  addStatus,
  addImport,
  addExport,
  addToken,
  addKey,
  addTx,
  addWalkthrough,
  addWallet,
  addVerify,
  addLight,
  addAudit,
  addDoctor,
  addBackup,
  addRestore,
  addStore,
  addBench,
];

function createProgram(cli: Cli, io: Io): Command {
  const program = new Command('salus')
    .description('A patient-governed health-data network.')
    .version(softwareVersion)
    .option('--json', 'print JSON for scripts; errors too')
    .option('--data <dir>', 'data directory of the node', dataDirDefault)
    .addOption(
      new Option('--database <url>', 'PostgreSQL database that keeps the node’s rows (postgres://…)').env(
        databaseVariable,
      ),
    )
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.replace(/\n$/, '')),
      writeErr: (text) => io.err(text.replace(/\n$/, '')),
    })
    .showHelpAfterError('Run it with --help to see what it takes.')
    .addHelpText('after', examples('salus demo', 'salus status', 'salus verify receipt.json --anchor anchor.json'))
    .addHelpText('after', '\nExit codes: 0 done and in order, 1 failed or not in order, 2 wrong command line.\n');
  for (const add of commands) add(program, cli);
  return program;
}

/** The parser's own complaints; under --json they are problems like all others. */
function usage(error: CommanderError, isJson: boolean, io: Io): number {
  if (error.exitCode === 0) return exitCodes.ok;
  if (isJson) {
    const isMissing = error.code === 'commander.help';
    const title = isMissing ? 'A command is missing' : error.message.replace(/^error: /, '');
    io.out(JSON.stringify({ type: 'urn:salus:error:716', title, code: 716, advice: 'See --help of the command.' }));
  }
  return exitCodes.usage;
}

/** Runs one command line and gives the exit code. Never throws for what a user did. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const isJson = args.includes('--json');
  const cli = new Cli(io);
  const quiet: Io = isJson ? { out: io.out, err: () => undefined } : io;
  try {
    await createProgram(cli, quiet).parseAsync([...args], { from: 'user' });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usage(error, isJson, io);
    cli.fail(error, { json: isJson, data: '' });
    return cli.exitCode;
  }
}
