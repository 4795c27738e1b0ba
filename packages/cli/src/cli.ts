import { resolve } from 'node:path';
import { ApiError } from '@salus/api';
import { proofErrors, errors as protocolErrors, SalusError } from '@salus/protocol';
import { NodeErrorCodes, NodeFault, nodeErrors } from '@salus/server';
import type { Command } from 'commander';

/** 0: done, and what was checked is in order. 1: it failed, or is not in order. 2: the command line is wrong. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;
export const dataDirDefault = '.data';
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

function ofTable(code: number, title: string, advice: string, detail?: string): CliProblem {
  return { type: `urn:salus:error:${code}`, title, code, advice, ...(detail === undefined ? {} : { detail }) };
}

function systemProblem(error: Error): CliProblem {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const cause = error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : code;
  if (cause === 'ECONNREFUSED' || cause === 'ENOTFOUND' || cause === 'ECONNRESET') {
    return ofTable(720, 'No node answers there', 'Start one with `salus demo`, or give its address with --url.');
  }
  if (cause === 'ENOENT') return ofTable(721, 'There is no such file', 'Check the path.', error.message);
  if (cause === 'EACCES')
    return ofTable(722, 'The file cannot be opened', 'Check who owns it and its mode.', error.message);
  return ofTable(723, 'The command failed', 'Run it again with another input, or report it.', error.message);
}

/** Whatever went wrong as one kind of answer: stable code, and what to do next. */
export function problemOfError(error: unknown): CliProblem {
  if (error instanceof ApiError) {
    const { type, title, code, advice, detail } = error.problem;
    return { type, title, code, advice, ...(detail === undefined ? {} : { detail }) };
  }
  if (error instanceof NodeFault) {
    const entry = nodeErrors.get(error.code);
    return ofTable(error.code, entry?.name ?? error.name, entry?.advice ?? '', error.message);
  }
  if (error instanceof SalusError) {
    const entry = protocolErrors.get(error.code) ?? proofErrors.get(error.code);
    return ofTable(error.code, entry?.name ?? error.name, entry?.advice ?? error.message, error.message);
  }
  return systemProblem(error instanceof Error ? error : new Error(String(error)));
}

/** `inputInvalid` → `input invalid`; a title in words stays as it is. */
function words(title: string): string {
  return title.replace(/([a-z0-9])([A-Z])/g, (_match, a: string, b: string) => `${a} ${b.toLowerCase()}`);
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
    // A fault's text ends with its advice, which has a line of its own here.
    const said = problem.detail?.replace(problem.advice, '').trim() ?? '';
    const detail = said === '' ? '' : `\n${said}`;
    if (options.json === true) this.#io.out(JSON.stringify(problem));
    else this.#io.err(`Error ${problem.code}: ${words(problem.title)}.${detail}\n${problem.advice}`);
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
