import { readFileSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { createClient } from '@salus/api';
import { type Message, parseJsonStrict, signTransaction, transactionBytesMax, utf8Text } from '@salus/protocol';
import { readOrganization, validForMsDefault } from '@salus/server';
import type { Command } from 'commander';
import {
  type AddCommand,
  type Cli,
  examples,
  type GlobalOptions,
  integerOption,
  urlDefault,
  usageFault,
} from '../cli.ts';

const messageDepthMax = 16;
const secondMs = 1_000;
const validSecondsMax = 600;

interface UrlOptions extends GlobalOptions {
  url: string;
}

interface SignOptions extends GlobalOptions {
  org: string;
  out?: string;
  validFor?: number;
}

interface SubmitOptions extends UrlOptions {
  wait: boolean;
}

interface ReceiptOptions extends UrlOptions {
  state?: string;
  out?: string;
}

/** `-` reads standard input: as a stream, since a pipe whose other end has not written yet gives an error otherwise. */
async function readInput(file: string): Promise<Uint8Array> {
  return file === '-' ? buffer(process.stdin) : readFileSync(file);
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

async function readMessages(file: string): Promise<Message[]> {
  const value = parseJsonStrict(await readInput(file), { bytesMax: transactionBytesMax, depthMax: messageDepthMax });
  const messages: unknown[] = Array.isArray(value) ? value : [value];
  if (!messages.every(isMessage)) throw usageFault('FILE must hold a message {"type": …} or a list of them.');
  return messages;
}

function write(bytes: Uint8Array, out: string | undefined): string {
  const text = utf8Text(bytes);
  if (out === undefined) return text;
  writeFileSync(out, bytes);
  return out;
}

function addSign(parent: Command, cli: Cli): void {
  parent
    .command('sign')
    .summary('sign messages as an organisation')
    .argument('<file>', 'JSON with a message or a list of messages; - for standard input')
    .requiredOption('--org <slug>', 'organisation that signs')
    .option('--out <file>', 'where to write the transaction (default: standard output)')
    .option('--valid-for <seconds>', 'how long it can be submitted', integerOption('--valid-for', 1, validSecondsMax))
    .addHelpText('after', examples('salus tx sign message.json --org hospital --out tx.json'))
    .action(
      cli.action<SignOptions, [string]>(async (options, file) => {
        const { keys, directory } = readOrganization(options.data, options.org);
        const validForMs = options.validFor === undefined ? validForMsDefault : options.validFor * secondMs;
        const bytes = await signTransaction({
          chain: directory.manifest.chain,
          messages: await readMessages(file),
          signers: [keys.signer()],
          validUntil: Date.now() + validForMs,
        });
        const text = write(bytes, options.out);
        return { value: options.out === undefined ? JSON.parse(text) : { file: options.out }, text };
      }),
    );
}

function addSubmit(parent: Command, cli: Cli): void {
  parent
    .command('submit')
    .summary('submit a signed transaction')
    .argument('<file>', 'the transaction; - for standard input')
    .option('--url <url>', 'address of the node', urlDefault)
    .option('--no-wait', 'do not wait until it is durable')
    .addHelpText(
      'after',
      examples('salus tx submit tx.json', 'salus tx sign m.json --org hospital | salus tx submit -'),
    )
    .action(
      cli.action<SubmitOptions, [string]>(async (options, file) => {
        const client = createClient({ baseUrl: options.url });
        const body = await readInput(file);
        const wait = options.wait ? ('commit' as const) : ('none' as const);
        const result = await client.submitTransaction({ query: { wait }, body });
        const place = 'height' in result ? ` in block ${result.height}` : '';
        return { value: result, text: `${result.hash}${place}` };
      }),
    );
}

function addShow(parent: Command, cli: Cli): void {
  parent
    .command('show')
    .summary('show a transaction and its result')
    .argument('<hash>', 'hash of the transaction')
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText('after', examples('salus tx show 3f1c…'))
    .action(
      cli.action<UrlOptions, [string]>(async (options, id) => {
        const value = await createClient({ baseUrl: options.url }).getTransaction({ params: { id } });
        return { value, text: JSON.stringify(value, null, 2) };
      }),
    );
}

function addReceipt(parent: Command, cli: Cli): void {
  parent
    .command('receipt')
    .summary('get the receipt of a transaction')
    .argument('<hash>', 'hash of the transaction')
    .option('--url <url>', 'address of the node', urlDefault)
    .option('--state <key>', 'also prove the value, or the absence, of this state key')
    .option('--out <file>', 'where to write it (default: standard output)')
    .addHelpText('after', examples('salus tx receipt 3f1c… --out receipt.json && salus verify receipt.json'))
    .action(
      cli.action<ReceiptOptions, [string]>(async (options, id) => {
        const client = createClient({ baseUrl: options.url });
        const text = await client.getReceipt({ params: { id }, query: { state: options.state } });
        if (options.out === undefined) return { value: JSON.parse(text), text };
        writeFileSync(options.out, text);
        return { value: { file: options.out }, text: options.out };
      }),
    );
}

export const addTx: AddCommand = (program, cli) => {
  const parent = program.command('tx').summary('sign, submit and look up transactions');
  addSign(parent, cli);
  addSubmit(parent, cli);
  addShow(parent, cli);
  addReceipt(parent, cli);
};
