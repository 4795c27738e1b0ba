import { resolve } from 'node:path';
import type { consent } from '@salus/contracts';
import { isDid } from '@salus/protocol';
import type { Command } from 'commander';
import { type AddCommand, type Cli, examples, exitCodes, integerOption, urlDefault, usageFault } from '../cli.ts';
import { approve, deny } from '../wallet/approvals.ts';
import { type Choice, directiveText, give, giveEverywhere, revoke } from '../wallet/directives.ts';
import { link } from '../wallet/linking.ts';
import { requestsOf } from '../wallet/requests.ts';
import { sync } from '../wallet/sync.ts';
import { Wallet } from '../wallet/wallet.ts';
import { lockWallet } from '../wallet/wallet-lock.ts';
import { addDelegate } from './wallet-delegate.ts';
import { addMove } from './wallet-move.ts';
import { alone, open, passphrase, refusalText, untilOf, using, type WalletOptions } from './wallet-options.ts';
import { addReading, addSession } from './wallet-reading.ts';

const walletDirDefault = '.wallet';
const usesMax = 1_000_000;

function addStart(wallet: Command, cli: Cli): void {
  wallet
    .command('create')
    .description('Makes a new wallet: a root secret that never leaves this directory, sealed with a passphrase.')
    .addHelpText('after', examples('salus wallet create --wallet ~/salus-wallet'))
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
    .addHelpText('after', examples('salus wallet link ABCD-EFGH-IJKL-MNOP --org hospital --url http://127.0.0.1:8080'))
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
    .addHelpText('after', examples('salus wallet contexts'))
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
    .addHelpText('after', examples('salus wallet requests', 'salus wallet requests --all --json'))
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
    .addHelpText(
      'after',
      examples(
        'salus wallet approve REQUEST --for 7d',
        'salus wallet approve REQUEST --what laboratory --except label:HIV --uses 2',
      ),
    )
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
    .addHelpText('after', examples('salus wallet deny REQUEST'))
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

function addChoices(wallet: Command, cli: Cli): void {
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
      .addHelpText(
        'after',
        examples(
          'salus wallet grant --org hospital --who role:nurse --what medications --for 30d',
          'salus wallet exclude --everywhere --who person:did:salus:…',
        ),
      )
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
}

function addDirectives(wallet: Command, cli: Cli): void {
  addChoices(wallet, cli);
  wallet
    .command('revoke')
    .description('Ends directives at once.')
    .argument('<directive...>', 'ids')
    .option('--quiet', 'nobody is told')
    .addHelpText('after', examples('salus wallet revoke DIRECTIVE', 'salus wallet revoke DIRECTIVE --quiet'))
    .action(
      cli.action<WalletOptions & { quiet?: boolean }, [string[]]>(async (options, ids) => {
        const value = await using(cli, options, (own) => revoke(own, ids, options.quiet === true));
        return { value, text: `Revoked at ${value.map(({ custodian }) => custodian).join(', ')}.` };
      }),
    );
  wallet
    .command('directives')
    .description('What you have decided.')
    .addHelpText('after', examples('salus wallet directives'))
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
    .addHelpText('after', examples('salus wallet sync'))
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
  addMove(wallet, cli);
  addDelegate(wallet, cli);
  addReading(wallet, cli);
  addSession(wallet);
};
