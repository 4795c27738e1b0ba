import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type Anchor,
  type Handover,
  handoverBytesMax,
  parseAnchor,
  parseHandover,
  type ReceiptReport,
  receiptBytesMax,
  SalusError,
  toBase64url,
  verifyReceipt,
} from '@salus/protocol';
import {
  type AddCommand,
  examples,
  exitCodes,
  type GlobalOptions,
  integerOption,
  type Outcome,
  problemOfError,
  usageFault,
} from '../cli.ts';

interface VerifyOptions extends GlobalOptions {
  anchor?: string;
  minHeight?: number;
  asOf?: string;
  handover: string[];
}

function readAnchor(file: string, given: string | undefined): Anchor {
  const path = given ?? join(dirname(file), 'anchor.json');
  if (given === undefined && !existsSync(path)) {
    throw usageFault('There is no anchor.json beside the file: name the trust anchor with --anchor.');
  }
  return parseAnchor(readFileSync(path));
}

/** A file that is too large to be what it should be is not read into memory first. */
function readFile(file: string, bytesMax: number): Uint8Array {
  if (statSync(file).size > bytesMax) return new Uint8Array(bytesMax + 1);
  return readFileSync(file);
}

/** Handovers that the user holds: from their files. */
export function readHandovers(files: readonly string[]): Handover[] {
  return files.map((file) => parseHandover(readFile(file, handoverBytesMax)));
}

/** An option that may be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms)) throw usageFault('--as-of must be a date or time of ISO 8601, as 2026-03-01T12:00:00Z.');
  return ms;
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toBase64url(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

function lines(report: ReceiptReport): string[] {
  const { transaction, result, state } = report;
  const out = [
    `Valid. Chain ${report.chain}, block ${report.height}, confirmed ${new Date(report.timeMs).toISOString()}.`,
  ];
  if (transaction !== undefined && result !== undefined) {
    const types = transaction.payload.messages.map((message) => message.type).join(', ');
    const outcome = result.code === 0 ? 'done' : `rejected with ${result.code}`;
    out.push(`Transaction ${transaction.hash} (${types}) is in the block: ${outcome}.`);
    out.push(`Signed by ${transaction.signers.join(', ')}; the validators checked the signatures.`);
  }
  if (state?.present === true)
    out.push(`The state has, under ${state.key}, the value ${JSON.stringify(plain(state.value))}.`);
  if (state?.present === false) out.push(`The state has nothing under ${state.key}.`);
  return out;
}

function verdict(report: ReceiptReport): Outcome {
  const text = lines(report).join('\n');
  const proves = [
    ...(report.transaction === undefined ? [] : ['transaction', 'result']),
    ...(report.state === undefined ? [] : [report.state.present ? 'presence' : 'absence']),
  ];
  const time = new Date(report.timeMs).toISOString();
  return { value: { ok: true, proves, time, ...(plain(report) as object) }, text };
}

export function refusal(error: SalusError): Outcome {
  const problem = problemOfError(error);
  const text = `Not valid (${problem.code}, ${problem.title}). ${problem.advice}`;
  return { value: { ok: false, ...problem }, text, exitCode: exitCodes.failed };
}

export const addVerify: AddCommand = (program, cli) => {
  program
    .command('verify')
    .summary('check a receipt or proof, offline')
    .description(
      'Checks a receipt or a proof of presence or absence against a trust anchor, without a network. Says what is ' +
        'proven, at which height and time; what is not the newest says nothing about now, which --min-height and ' +
        '--as-of refuse.',
    )
    .argument('<file>', 'the receipt')
    .option('--anchor <file>', 'trust anchor (default: anchor.json beside the file)')
    .option(
      '--min-height <number>',
      'refuse what is below this height',
      integerOption('--min-height', 0, Number.MAX_SAFE_INTEGER),
    )
    .option('--as-of <time>', 'refuse what is older than this time (ISO 8601)')
    .option(
      '--handover <file>',
      'a handover between the anchor and the receipt that the receipt does not carry; may be repeated',
      collect,
      [],
    )
    .addHelpText(
      'after',
      examples(
        'salus verify receipt.json',
        'salus verify absence.json --anchor anchor.json --as-of 2026-03-01 --json',
        'salus verify receipt.json --anchor embedded-anchor.json --handover handover.json',
      ),
    )
    .action(
      cli.action<VerifyOptions, [string]>(async (options, file) => {
        const asOfMs = timeOf(options.asOf);
        try {
          const bytes = readFile(file, receiptBytesMax);
          const anchor = readAnchor(file, options.anchor);
          const handovers = readHandovers(options.handover);
          return verdict(verifyReceipt(bytes, anchor, { minHeight: options.minHeight, asOfMs, handovers }));
        } catch (error) {
          if (error instanceof SalusError) return refusal(error);
          throw error;
        }
      }),
    );
};
