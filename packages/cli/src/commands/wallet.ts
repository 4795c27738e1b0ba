import { resolve } from 'node:path';
import { createInterface as createLines } from 'node:readline';
import { isCancel, password } from '@clack/prompts';
import type { consent } from '@salus/contracts';
import { isDid } from '@salus/protocol';
import type { Command } from 'commander';
import type { CheckedAccess } from '../audit/verify-accounting.ts';
import {
  type AddCommand,
  type Cli,
  examples,
  exitCodes,
  type GlobalOptions,
  integerOption,
  urlDefault,
  usageFault,
} from '../cli.ts';
import { approve, deny } from '../wallet/approvals.ts';
import { type Choice, directiveText, give, giveEverywhere, revoke } from '../wallet/directives.ts';
import { walletError } from '../wallet/errors.ts';
import { link } from '../wallet/linking.ts';
import { resumeUnsent } from '../wallet/outbox.ts';
import { ownRecord, watch, whoLooked } from '../wallet/reading.ts';
import { requestsOf } from '../wallet/requests.ts';
import { sync } from '../wallet/sync.ts';
import { Wallet } from '../wallet/wallet.ts';
import { WalletVault } from '../wallet/wallet-file.ts';
import { lockWallet } from '../wallet/wallet-lock.ts';

const walletDirDefault = '.wallet';
const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const usesMax = 1_000_000;
const secondMs = 1_000;
const watchSecondsMax = 86_400;

interface WalletOptions extends GlobalOptions {
  wallet: string;
}

/** `30m`, `12h`, `7d` from now on. */
function untilOf(duration: string): number {
  const match = /^(\d{1,5})([mhd])$/.exec(duration);
  const unit = match?.[2] === undefined ? undefined : unitMs[match[2]];
  if (match === null || unit === undefined) throw walletError('durationInvalid');
  return Date.now() + Number(match[1]) * unit;
}

async function passphrase(): Promise<string> {
  const given = process.env.SALUS_WALLET_PASSPHRASE;
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) throw usageFault('Set SALUS_WALLET_PASSPHRASE, or run it on a terminal.');
  // What is typed is not shown, and never becomes part of a history or a log.
  const typed = await password({ message: 'Passphrase of the wallet' });
  if (isCancel(typed)) throw usageFault('Nothing was done.');
  return typed;
}

/** For reading only: another process may write meanwhile, and what is read is whole all the same. */
async function open({ wallet }: WalletOptions): Promise<Wallet> {
  return Wallet.open(resolve(wallet), await passphrase());
}

/** For a command that writes: no other process does meanwhile. */
async function alone<T>(options: WalletOptions, work: (wallet: Wallet) => Promise<T>): Promise<T> {
  const dir = resolve(options.wallet);
  const secret = await passphrase();
  if (!WalletVault.exists(dir)) throw walletError('walletMissing');
  const unlock = lockWallet(dir);
  try {
    return await work(Wallet.open(dir, secret));
  } finally {
    unlock();
  }
}

const refusalText = (hash: string): string => `The ledger refused ${hash}: what it says did not come to be.`;

/** For one command that decides something: alone, and after what an earlier command left behind was sent. */
function using<T>(cli: Cli, options: WalletOptions, work: (wallet: Wallet) => T | Promise<T>): Promise<T> {
  return alone(options, async (wallet) => {
    const { refused } = await resumeUnsent(wallet);
    for (const hash of refused) cli.say(refusalText(hash), options);
    return await work(wallet);
  });
}

function addStart(wallet: Command, cli: Cli): void {
  wallet
    .command('create')
    .description('Makes a new wallet: a root secret that never leaves this directory, sealed with a passphrase.')
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const secret = await passphrase();
        const unlock = lockWallet(resolve(options.wallet));
        try {
          Wallet.create(resolve(options.wallet), secret);
        } finally {
          unlock();
        }
        const text = `A wallet lies in ${resolve(options.wallet)}. Keep a copy of that directory and the passphrase apart.`;
        return { value: { wallet: resolve(options.wallet) }, text };
      }),
    );
  wallet
    .command('link')
    .description('Links the wallet with an organisation, by the code that it gave you when it checked who you are.')
    .argument('<code>', 'one-time code')
    .requiredOption('--org <slug>', 'organisation that gave the code')
    .option('--url <url>', 'address of its node', urlDefault)
    .action(
      cli.action<WalletOptions & { org: string; url: string }, [string]>(async (options, code) => {
        const { custodian, did } = await using(cli, options, (own) => link(own, options.url, options.org, code));
        const text = `Linked with ${custodian.name}. There you are ${did}; nobody else knows you by that name.`;
        return { value: { custodian: custodian.slug, patient: did }, text };
      }),
    );
  wallet
    .command('contexts')
    .description('Organisations this wallet is linked with, and your name at each: what a QR card shows.')
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const { contexts } = (await open(options)).state;
        const value = contexts.map(({ custodian, did, url }) => ({ custodian: custodian.slug, patient: did, url }));
        const text = contexts.map(({ custodian, did }) => `${custodian.name}: ${did}`).join('\n');
        return { value, text: text === '' ? 'Linked with nobody yet.' : text };
      }),
    );
}

function addRequests(wallet: Command, cli: Cli): void {
  wallet
    .command('requests')
    .description('Who asks for what. Each is opened with your key and checked against the ledger.')
    .option('--all', 'answered and timed-out ones too')
    .action(
      cli.action<WalletOptions & { all?: boolean }, []>(async (options) => {
        const opened = await open(options);
        const lists = await Promise.all(opened.state.contexts.map((context) => requestsOf(opened, context)));
        const value = lists.flat().filter(({ status }) => options.all === true || status === 'pending');
        const text = value.map(({ id, custodian, organization, status, content }) => {
          const what = content === undefined ? '(cannot be read yet)' : JSON.stringify(content.what);
          const why = content === undefined ? '' : ` for ${content.purpose}, roles ${content.roles.join(', ')}`;
          const note = content?.note === undefined ? '' : `\n  “${content.note}”`;
          return `${id}  ${status}\n  ${organization.name} asks ${custodian} for ${what}${why}${note}`;
        });
        return { value, text: text.length === 0 ? 'Nobody asks.' : text.join('\n') };
      }),
    );
  addDecisions(wallet, cli);
}

interface ApproveOptions extends WalletOptions {
  for: string;
  uses?: number;
  what?: string[];
  except?: string[];
}

function addDecisions(wallet: Command, cli: Cli): void {
  wallet
    .command('approve')
    .description(
      'Approves a request, signed with your own key; as far and as long as you say. `wallet revoke` ends it.',
    )
    .argument('<request>', 'id of the request')
    .option('--for <duration>', 'how long: 30m, 12h, 7d', '1d')
    .option('--uses <n>', 'how many times', integerOption('--uses', 1, usesMax))
    .option('--what <part...>', 'less than what was asked for: categories, label:CODE, record:ID')
    .option('--except <part...>', 'left out of it')
    .action(
      cli.action<ApproveOptions, [string]>(async (options, id) => {
        const { uses, what, except } = options;
        const isNarrower = what !== undefined || except !== undefined;
        const approval = {
          untilMs: untilOf(options.for),
          ...(uses !== undefined && { usesMax: uses }),
          ...(isNarrower && { what: extentOf(what, except) }),
        };
        const value = await using(cli, options, (own) => approve(own, id, approval));
        return { value, text: `Approved: ${value.text}\nDirective ${value.directive}` };
      }),
    );
  wallet
    .command('deny')
    .description('Denies a request, signed with your own key.')
    .argument('<request>', 'id of the request')
    .action(
      cli.action<WalletOptions, [string]>(async (options, id) => {
        const value = await using(cli, options, (own) => deny(own, id));
        return { value, text: `Denied; transaction ${value.transaction}` };
      }),
    );
}

interface GrantOptions extends WalletOptions {
  org?: string;
  everywhere?: boolean;
  who: string[];
  what?: string[];
  except?: string[];
  purpose: string[];
  action: string[];
  for?: string;
  uses?: number;
}

/** `anyone`, `care-team`, `role:nurse`, `organisation:DID`, `person:DID`. */
function granteeOf(text: string): consent.Grantee {
  if (text === 'anyone') return { kind: 'anyone' };
  if (text === 'care-team') return { kind: 'careTeam' };
  const [kind, id = ''] = text.split(/:(.*)/s);
  if (kind === 'role' && /^[A-Za-z]+$/.test(id)) return { kind: 'role', id };
  if (kind === 'organisation' && isDid(id)) return { kind: 'organization', id };
  if (kind === 'person' && isDid(id)) return { kind: 'person', id };
  throw usageFault('--who takes anyone, care-team, role:CODE, organisation:DID or person:DID.');
}

/** `label:HIV`, `record:ID`, or a category. */
function selection(texts: readonly string[]): { categories?: string[]; labels?: string[]; records?: string[] } {
  const pick = (prefix: string): string[] =>
    texts.filter((text) => text.startsWith(`${prefix}:`)).map((text) => text.slice(prefix.length + 1));
  const categories = texts.filter((text) => !/^(label|record):/.test(text));
  const lists = { categories, labels: pick('label'), records: pick('record') };
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}

function extentOf(what: readonly string[] | undefined, except: readonly string[] | undefined): consent.What {
  return {
    ...(what === undefined ? { all: true } : selection(what)),
    ...(except !== undefined && { except: selection(except) }),
  };
}

function choiceOf(effect: 'permit' | 'deny', options: GrantOptions): Choice {
  const { who, what, except, purpose, action, uses } = options;
  const isDenial = effect === 'deny';
  return {
    effect,
    grantees: who.map(granteeOf),
    what: extentOf(what, except),
    purposes: isDenial ? [] : purpose,
    actions: isDenial ? [] : (action as consent.Action[]),
    ...(options.for !== undefined && { untilMs: untilOf(options.for) }),
    ...(uses !== undefined && { usesMax: uses }),
  };
}

function addDirectives(wallet: Command, cli: Cli): void {
  for (const [name, effect] of [
    ['grant', 'permit'],
    ['exclude', 'deny'],
  ] as const) {
    wallet
      .command(name)
      .description(
        effect === 'permit'
          ? 'Permits somebody something, in a directive that you sign.'
          : 'Shuts somebody out; it wins over every permit.',
      )
      .option('--org <slug>', 'the organisation that holds the record')
      .option('--everywhere', 'in all contexts, each at a random time within three days (`wallet sync` sends)')
      .requiredOption('--who <who...>', 'anyone, care-team, role:CODE, organisation:DID, person:DID')
      .option('--what <part...>', 'categories, label:CODE, record:ID (default: everything)')
      .option('--except <part...>', 'left out of it')
      .option('--purpose <code...>', 'HL7 PurposeOfUse', ['TREAT'])
      .option('--action <action...>', 'read, correct, share, compute', ['read'])
      .option('--for <duration>', 'how long: 30m, 12h, 7d')
      .option('--uses <n>', 'how many times', integerOption('--uses', 1, usesMax))
      .action(
        cli.action<GrantOptions, []>(async (options) => {
          const choice = choiceOf(effect, options);
          if (options.everywhere === true) {
            const value = await using(cli, options, (own) => giveEverywhere(own, choice));
            return { value, text: `Planned in ${value.length} contexts: ${directiveText(choice)}` };
          }
          const { org } = options;
          if (org === undefined) throw usageFault('Say which organisation with --org, or --everywhere.');
          const value = await using(cli, options, (own) => give(own, own.context(org), choice));
          return { value, text: `Signed: ${value.text}\nDirective ${value.directive}` };
        }),
      );
  }
  wallet
    .command('revoke')
    .description('Ends directives at once.')
    .argument('<directive...>', 'ids')
    .option('--quiet', 'nobody is told')
    .action(
      cli.action<WalletOptions & { quiet?: boolean }, [string[]]>(async (options, ids) => {
        const value = await using(cli, options, (own) => revoke(own, ids, options.quiet === true));
        return { value, text: `Revoked at ${value.map(({ custodian }) => custodian).join(', ')}.` };
      }),
    );
  wallet
    .command('directives')
    .description('What you have decided.')
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const { directives, scheduled, unsent } = (await open(options)).state;
        const lines = directives.map(
          ({ id, content, revokedMs }) =>
            `${id}  ${revokedMs === undefined ? 'in force' : 'revoked'}\n  ${String(content.text)}`,
        );
        const left = unsent.length > 0 ? [`${unsent.length} signed and not answered yet: \`wallet sync\``] : [];
        const text = [...lines, `${scheduled.length} waiting to be sent`, ...left].join('\n');
        return { value: { directives, waiting: scheduled.length, unsent: unsent.length }, text };
      }),
    );
  wallet
    .command('sync')
    .description('Sends what has come due, and what an earlier command could not send to its end.')
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const value = await alone(options, (own) => sync(own));
        const { sent, waiting, refused, unsent } = value;
        const text = [
          `${sent.length} sent, ${waiting} waiting for their time.`,
          ...refused.map(refusalText),
          ...(unsent > 0 ? [`${unsent} could not be sent: try again when the node answers.`] : []),
        ];
        const exitCode = unsent > 0 || refused.length > 0 ? exitCodes.failed : exitCodes.ok;
        return { value, text: text.join('\n'), exitCode };
      }),
    );
}

function addReading(wallet: Command, cli: Cli): void {
  wallet
    .command('who-looked')
    .description('Every access to your records, who, when, why and under which basis.')
    .option('--org <slug>', 'at one organisation only')
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
function addSession(wallet: Command): void {
  wallet
    .command('session')
    .description(
      'Reads commands from standard input, one JSON array of arguments a line, and answers each with a line.',
    )
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

function describe(access: CheckedAccess): string {
  const { timeMs, who, purpose, exit, outcome, records, verified } = access;
  const proof = verified ? 'proven' : 'NOT PROVEN';
  return `  ${new Date(timeMs).toISOString()} ${who}: ${outcome}, ${records} entries, ${purpose}, ${exit}, ${proof}`;
}

export const addWallet: AddCommand = (program, cli) => {
  const wallet = program
    .command('wallet')
    .summary('the patient’s own keys and decisions')
    .description(
      'A patient’s wallet: a process and a directory of its own. A node gets signatures from it, never a key.',
    )
    .option('--wallet <dir>', 'directory of the wallet', walletDirDefault)
    .addHelpText(
      'after',
      examples(
        'salus wallet create --wallet ~/salus-wallet',
        'salus wallet link ABCD-EFGH-IJKL-MNOP --org hospital --url http://127.0.0.1:8080',
        'salus wallet requests',
        'salus wallet approve REQUEST --for 7d',
        'salus wallet who-looked',
      ),
    );
  addStart(wallet, cli);
  addRequests(wallet, cli);
  addDirectives(wallet, cli);
  addReading(wallet, cli);
  addSession(wallet);
};
