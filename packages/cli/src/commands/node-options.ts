import { createLog, hostDefault, type NodeOptions, portDefault, type RunningNode, startNode } from '@salus/server';
import { type Command, Option } from 'commander';
import { exitCodes, type GlobalOptions, integerOption } from '../cli.ts';
import { openMemberLedger } from '../network/member.ts';
import { type ConnectionOptions, connectionOptions, connectionsOf } from './connection-options.ts';

export interface NodeCommandOptions extends GlobalOptions, ConnectionOptions {
  port: number;
  host: string;
  engine: 'embedded' | 'cometbft';
  logLevel: NonNullable<NodeOptions['logLevel']>;
  rateLimit?: number;
  certificate?: string[];
}

const portMax = 65_535;
const rateLimitMax = 100_000_000;

/** Options of the commands that run a node. */
export function nodeOptions(command: Command): Command {
  const levels = ['silent', 'error', 'warn', 'info', 'debug'];
  return connectionOptions(command)
    .option(
      '--port <number>',
      'port to listen on; 0 takes a free one',
      integerOption('--port', 0, portMax),
      portDefault,
    )
    .option('--host <address>', 'address to listen on', hostDefault)
    .addOption(
      new Option('--engine <name>', 'what orders transactions').choices(['embedded', 'cometbft']).default('embedded'),
    )
    .addOption(new Option('--log-level <level>', 'log on standard error').choices(levels).default('warn'))
    .option(
      '--rate-limit <number>',
      'requests a minute from one address other than this machine; 0 for no limit',
      integerOption('--rate-limit', 0, rateLimitMax),
    )
    .option(
      '--certificate <file...>',
      'TLS certificates (PEM) of what stands before the node: it warns before they end',
    );
}

/** A terminal sends Ctrl-C to everybody in it, and npm and `salus` pass it on: that is one wish, heard more than once. */
const sameSignalMs = 1_000;

/** Answers at the first signal that asks the process to end; a later one ends it at once. */
export function signalled(): Promise<void> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  return new Promise((resolve) => {
    let firstMs: number | undefined;
    const hear = (): void => {
      firstMs ??= performance.now();
      if (performance.now() - firstMs > sameSignalMs) process.exit(exitCodes.failed);
      resolve();
    };
    for (const signal of signals) process.on(signal, hear);
  });
}

/**
 * Runs a node until a signal comes, then stops it in order. `announce` is told when it takes requests; what it gives is
 * called before the node stops.
 */
export async function runUntilSignal(
  options: NodeCommandOptions,
  announce: (node: RunningNode) => (() => Promise<void>) | undefined,
): Promise<void> {
  // Listens before the node starts: a signal while it starts must not cut it off in the middle.
  const end = signalled();
  const { data, database, port, host, engine, logLevel, rateLimit, certificate } = options;
  const log = createLog(logLevel);
  const fatal = Promise.withResolvers<never>();
  const over = Promise.race([end, fatal.promise]);
  over.catch(() => undefined);
  const openLedger: NodeOptions['openLedger'] = (directory, clockMs) =>
    openMemberLedger(directory, clockMs, (event, fields) => log.note(event, fields), fatal.reject);
  const node = await startNode({
    dataDir: data,
    storeUrl: database,
    port,
    host,
    engine,
    log,
    rateLimitPerMinute: rateLimit,
    ...connectionsOf(options),
    certificates: [...(certificate ?? []), ...(options.tlsCert === undefined ? [] : [options.tlsCert])],
    ...(engine === 'cometbft' && { openLedger }),
  });
  const finish = announce(node);
  try {
    await over;
  } finally {
    await finish?.();
    await node.stop();
  }
}
