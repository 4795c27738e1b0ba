import type { identity } from '@salus/contracts';
import { type Did, isDid } from '@salus/protocol';
import { type Command, Option } from 'commander';
import { type Cli, examples, urlDefault, usageFault } from '../cli.ts';
import { decideFor, delegationFor, end, name, recordFor, register } from '../wallet/delegates.ts';
import { open, untilOf, using, type WalletOptions } from './wallet-options.ts';

interface NameOptions extends WalletOptions {
  org: string;
  kind: 'carer' | 'powerOfAttorney';
  may: identity.AuthorityAction[];
  what?: string[];
  except?: string[];
  for: string;
}

interface ActingOptions extends WalletOptions {
  org: string;
  patient: string;
}

/** What a patient gives; the other kinds are attested by who saw the papers. */
const kinds = ['carer', 'powerOfAttorney'] as const;
const actions = ['read', 'correct', 'share', 'decide', 'grant'];

function didOf(text: string, what: string): Did {
  if (!isDid(text)) throw usageFault(`${what} is a DID: did:salus:…`);
  return text;
}

function addName(parent: Command, cli: Cli): void {
  parent
    .command('name')
    .description('Lets somebody act for you, as far and as long as you say; ask them for the DID that they registered.')
    .argument('<did>', 'who it is')
    .requiredOption('--org <slug>', 'the organisation that holds your record')
    .addOption(new Option('--kind <kind>', 'what they are to you').choices(kinds).default('carer'))
    .addOption(new Option('--may <action...>', 'what they may do').choices(actions).default(['read']))
    .option('--what <category...>', 'these categories only (default: everything)')
    .option('--except <part...>', 'categories and labels that stay hidden from them')
    .option('--for <duration>', 'how long: 12h, 30d, 365d', '365d')
    .addHelpText(
      'after',
      examples('salus wallet delegate name did:salus:… --org hospital --may read decide --for 90d --except label:HIV'),
    )
    .action(
      cli.action<NameOptions, [string]>(async (options, did) => {
        const holder = didOf(did, 'Whom you name');
        const { org, kind, may, what, except } = options;
        const naming = {
          ...{ holder, kind, actions: may, untilMs: untilOf(options.for) },
          ...(what && { categories: what }),
          ...(except && { excluded: except.map((part) => part.replace(/^label:/, '')) }),
        };
        const value = await using(cli, options, (own) => name(own, own.context(org), naming));
        return { value, text: `${holder} may act for you at ${value.custodian}.\nAuthority ${value.authority}` };
      }),
    );
}

function addNaming(parent: Command, cli: Cli): void {
  addName(parent, cli);
  parent
    .command('named')
    .description('Whom you let act for you.')
    .addHelpText('after', examples('salus wallet delegate named'))
    .action(
      cli.action<WalletOptions, []>(async (options) => {
        const { authorities } = (await open(options)).state;
        const state = (endedMs?: number): string => (endedMs === undefined ? 'given' : 'ended');
        const lines = authorities.map(({ id, holder, endedMs }) => `${id}  ${state(endedMs)}  ${holder}`);
        return { value: authorities, text: lines.length === 0 ? 'Nobody acts for you.' : lines.join('\n') };
      }),
    );
  parent
    .command('end')
    .description('Ends at once what somebody may do for you.')
    .argument('<authority>', 'id, as `named` shows it')
    .addHelpText('after', examples('salus wallet delegate end AUTHORITY'))
    .action(
      cli.action<WalletOptions, [string]>(async (options, id) => {
        const value = await using(cli, options, (own) => end(own, id));
        return { value, text: `Ended at ${value.custodian}.` };
      }),
    );
}

function addRegister(parent: Command, cli: Cli): void {
  parent
    .command('register')
    .description(
      'Registers you as somebody who acts for patients, by a code of an organisation that checked who you are.',
    )
    .argument('<code>', 'one-time code')
    .requiredOption('--org <slug>', 'organisation that gave the code')
    .option('--url <url>', 'address of its node', urlDefault)
    .addHelpText('after', examples('salus wallet delegate register ABCD-EFGH-IJKL-MNOP --org hospital'))
    .action(
      cli.action<WalletOptions & { org: string; url: string }, [string]>(async (options, code) => {
        const { did, custodian } = await using(cli, options, (own) => register(own, options.url, options.org, code));
        const text = `Registered with ${custodian.name}. Give this to the patient for whom you act: ${did}`;
        return { value: { custodian: custodian.slug, did }, text };
      }),
    );
}

function acting(parent: Command, command: string, description: string): Command {
  return parent
    .command(command)
    .description(description)
    .requiredOption('--org <slug>', 'organisation that holds the record')
    .requiredOption('--patient <did>', 'the patient’s name there, which they told you');
}

function addReading(parent: Command, cli: Cli): void {
  acting(parent, 'for', 'What you may do for a patient, and what they are asked.')
    .addHelpText('after', examples('salus wallet delegate for --org hospital --patient did:salus:…'))
    .action(
      cli.action<ActingOptions, []>(async (options) => {
        const own = await open(options);
        const patient = didOf(options.patient, '--patient');
        const value = await delegationFor(own, own.delegation(options.org), patient);
        const may = value.authorities.map(({ id, content }) => {
          const { kind, scope } = content as identity.AuthorityContent;
          return `${id}  ${kind}: ${scope.actions.join(', ')}`;
        });
        const asked = value.requests.map(
          ({ id, status, content }) => `${id}  ${status}  ${content.organizationName}: ${content.purpose}`,
        );
        return { value, text: may.length === 0 ? 'Nothing.' : [...may, ...asked].join('\n') };
      }),
    );
  acting(parent, 'history', 'The part of the patient’s record that you may read.')
    .addHelpText('after', examples('salus wallet delegate history --org hospital --patient did:salus:… --json'))
    .action(
      cli.action<ActingOptions, []>(async (options) => {
        const own = await open(options);
        const value = await recordFor(own, own.delegation(options.org), didOf(options.patient, '--patient'));
        return { value, text: `${value.custodian}: ${value.entries} entries` };
      }),
    );
}

function addAnswers(parent: Command, cli: Cli): void {
  acting(parent, 'approve', 'Approves a request in the patient’s place, signed with your own key.')
    .argument('<request>', 'id of the request')
    .option('--for <duration>', 'how long: 30m, 12h, 7d', '1d')
    .addHelpText('after', examples('salus wallet delegate approve REQUEST --org hospital --patient did:salus:…'))
    .action(
      cli.action<ActingOptions & { for: string }, [string]>(async (options, request) => {
        const answer = { patient: didOf(options.patient, '--patient'), request, untilMs: untilOf(options.for) };
        const value = await using(cli, options, (own) => decideFor(own, own.delegation(options.org), answer));
        return { value, text: `Approved under authority ${value.authority}; transaction ${value.transaction}` };
      }),
    );
  acting(parent, 'deny', 'Denies a request in the patient’s place.')
    .argument('<request>', 'id of the request')
    .addHelpText('after', examples('salus wallet delegate deny REQUEST --org hospital --patient did:salus:…'))
    .action(
      cli.action<ActingOptions, [string]>(async (options, request) => {
        const answer = { patient: didOf(options.patient, '--patient'), request };
        const value = await using(cli, options, (own) => decideFor(own, own.delegation(options.org), answer));
        return { value, text: `Denied under authority ${value.authority}; transaction ${value.transaction}` };
      }),
    );
}

export function addDelegate(wallet: Command, cli: Cli): void {
  const parent = wallet.command('delegate').description('People who act for patients: naming one, and acting as one.');
  addNaming(parent, cli);
  addRegister(parent, cli);
  addReading(parent, cli);
  addAnswers(parent, cli);
}
