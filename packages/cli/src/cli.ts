import { resolve } from 'node:path';
import { ApiError } from '@salus/api';
import { createKernel } from '@salus/contracts';
import { proofErrors, errors as protocolErrors, SalusError } from '@salus/protocol';
import { NodeErrorCodes, NodeFault, nodeErrors } from '@salus/server';
import type { Command } from 'commander';
import { NetworkErrorCodes, networkErrors } from './network/errors.ts';
import { walletErrors } from './wallet/errors.ts';

/** 0: done, and what was checked is in order. 1: it failed, or is not in order. 2: the command line is wrong. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;
export const dataDirDefault = '.data';
/** What a shell, a service or a container gives in place of --database; a password does not belong on a command line. */
export const databaseVariable = 'SALUS_DATABASE';
export const urlDefault = 'http://127.0.0.1:8080';

export interface Io {
  out(text: string): void;
  err(text: string): void;
}

/** What a command gives: `value` is printed under --json, `text` otherwise. */
export interface Outcome {
  value: unknown;
  text: string;
  exitCode?: number;
}

export interface GlobalOptions {
  json?: boolean;
  data: string;
  /** `postgres://…`, for a directory that keeps its rows in PostgreSQL. */
  database?: string;
  /** Whether somebody said which data directory. */
  isDataGiven?: boolean;
}

export interface CliProblem {
  type: string;
  title: string;
  code: number;
  advice: string;
  detail?: string;
}

/** A mistake in what the user gave, found after the command line was parsed. */
export function usageFault(detail: string): NodeFault {
  return new NodeFault(NodeErrorCodes.inputInvalid, detail);
}

/** What a fault says beyond its title and its advice, which have places of their own: `name: what is wrong; advice`. */
function saidBeyond(title: string, advice: string, said = ''): { detail?: string } {
  const rest = said.replace(advice, '').trim();
  const [, name = '', text = ''] = /^(\w+):\s*(.*?);?$/s.exec(rest) ?? [];
  const detail = words(name) === title ? text : rest;
  return detail === '' ? {} : { detail };
}

function ofTable(code: number, name: string, advice: string, said?: string): CliProblem {
  const title = words(name);
  return { type: `urn:salus:error:${code}`, title, code, advice, ...saidBeyond(title, advice, said) };
}

/** What the operating system says, by its own names. */
const systemProblems: Readonly<Record<string, [code: number, title: string, advice: string]>> = {
  ENOENT: [721, 'There is no such file', 'Check the path.'],
  EACCES: [722, 'The file cannot be opened', 'Check who owns it and its mode.'],
  EPERM: [722, 'The file cannot be opened', 'Check who owns it and its mode.'],
  EROFS: [722, 'The file cannot be opened', 'It lies where nothing can be written: name another place.'],
  ENOTDIR: [724, 'That is no directory', 'Name a directory where one is asked for.'],
  EISDIR: [724, 'That is a directory', 'Name a file where one is asked for.'],
  EEXIST: [724, 'Something is there already', 'Name another place, or move away what is there.'],
  ENOSPC: [725, 'The disk is full', 'Make room, and run it again.'],
  EDQUOT: [725, 'The disk is full', 'Make room, and run it again.'],
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Node's names for a certificate that nobody vouches for, of another name or time. */
const certificateFaults = /_CERT_|^CERT_|LEAF_SIGNATURE|SELF_SIGNED|ERR_TLS_/;

function systemProblem(error: Error): CliProblem {
  // Whatever goes wrong below HTTP is this one error, with the reason as its cause.
  const cause = error.cause;
  if (error instanceof TypeError && error.message === 'fetch failed') {
    const why = codeOf(cause) || (cause instanceof Error ? cause.message : '');
    if (certificateFaults.test(why)) {
      const code = NetworkErrorCodes.certificateUnknown;
      return ofTable(code, 'No certificate that is believed', networkErrors.get(code)?.advice ?? '', why);
    }
    return ofTable(720, 'No node answers there', 'Start one with `salus demo`, or give its address with --url.', why);
  }
  const known = systemProblems[codeOf(error)] ?? systemProblems[codeOf(cause)];
  if (known !== undefined) return ofTable(...known, error.message);
  return ofTable(723, 'The command failed', 'Run it again with another input, or report it.', error.message);
}

const errorTables = [protocolErrors, proofErrors, walletErrors, networkErrors];

/** Whatever went wrong as one kind of answer: stable code, and what to do next. */
export function problemOfError(error: unknown): CliProblem {
  if (error instanceof ApiError) {
    const { type, title, code, advice, detail } = error.problem;
    return { type, title, code, advice, ...saidBeyond(title, advice, detail) };
  }
  if (error instanceof NodeFault) {
    const entry = nodeErrors.get(error.code);
    return ofTable(error.code, entry?.name ?? error.name, entry?.advice ?? '', error.message);
  }
  if (error instanceof SalusError) {
    const known = errorTables.map((table) => table.get(error.code)).find((one) => one !== undefined);
    const entry = known ?? createKernel().error(error.code);
    return ofTable(error.code, entry?.name ?? error.name, entry?.advice ?? error.message, error.message);
  }
  return systemProblem(error instanceof Error ? error : new Error(String(error)));
}

/** `inputInvalid` → `input invalid`; a title in words stays as it is. */
function words(title: string): string {
  return title.replace(/([a-z0-9])([A-Z])/g, (_match, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

function refuseAddress(options: object): void {
  const { url } = options as { url?: unknown };
  if (typeof url !== 'string') return;
  const protocol = URL.canParse(url) ? new URL(url).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw usageFault('--url is the address of a node, as http://127.0.0.1:8080.');
  }
}

function refuseDatabase({ database }: GlobalOptions): void {
  const protocol = database !== undefined && URL.canParse(database) ? new URL(database).protocol : '';
  if (database === undefined || protocol === 'postgres:' || protocol === 'postgresql:') return;
  throw usageFault('--database is the address of a database, as postgres://user@127.0.0.1:5432/salus.');
}

/** For commands that start nodes of their own: these have the same database. */
export function passDatabaseOn({ database }: GlobalOptions): void {
  if (database !== undefined) process.env[databaseVariable] = database;
}

/** Runs `clean` where somebody ends the command in the middle, then ends it; gives what takes that back. */
export function onInterrupt(clean: () => void | Promise<void>): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const end = async (): Promise<void> => {
    for (const signal of signals) process.off(signal, end);
    try {
      await clean();
    } finally {
      process.exit(exitCodes.failed);
    }
  };
  for (const signal of signals) process.on(signal, end);
  return () => {
    for (const signal of signals) process.off(signal, end);
  };
}

/** One run of the command: where it prints, and with which code it will exit. */
export class Cli {
  readonly #io: Io;
  exitCode: number = exitCodes.ok;

  constructor(io: Io) {
    this.#io = io;
  }

  print(outcome: Outcome, options: GlobalOptions): void {
    this.#io.out(options.json === true ? JSON.stringify(outcome.value) : outcome.text);
    this.exitCode = outcome.exitCode ?? exitCodes.ok;
  }

  /** A line on the way, for people; nothing under --json. */
  say(text: string, options: GlobalOptions): void {
    if (options.json !== true) this.#io.err(text);
  }

  fail(error: unknown, options: GlobalOptions): void {
    const problem = problemOfError(error);
    const detail = problem.detail === undefined ? '' : `\n${problem.detail}`;
    if (options.json === true) this.#io.out(JSON.stringify(problem));
    else this.#io.err(`Error ${problem.code}: ${problem.title}.${detail}\n${problem.advice}`);
    this.exitCode = problem.code === NodeErrorCodes.inputInvalid ? exitCodes.usage : exitCodes.failed;
  }

  /** Wraps an action: global options resolved, the outcome printed, every error an answer with an exit code. */
  action<O extends object, A extends unknown[]>(
    run: (options: O & GlobalOptions, ...operands: A) => Promise<Outcome | undefined>,
  ): (...args: unknown[]) => Promise<void> {
    return async (...args) => {
      const command = args.at(-1) as Command;
      const options = command.optsWithGlobals<O & GlobalOptions>();
      options.isDataGiven = command.getOptionValueSourceWithGlobals('data') === 'cli';
      options.data = resolve(options.data);
      try {
        refuseAddress(options);
        refuseDatabase(options);
        const outcome = await run(options, ...(args.slice(0, -2) as A));
        if (outcome !== undefined) this.print(outcome, options);
      } catch (error) {
        this.fail(error, options);
      }
    };
  }
}

/** Adds one command to the program. Each command is a file of its own. */
export type AddCommand = (program: Command, cli: Cli) => void;

/** Text of the examples that end a command's help. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`;
}

export function integerOption(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) {
      throw usageFault(`${name} must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}
