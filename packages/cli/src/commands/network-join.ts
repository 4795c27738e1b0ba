import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { identity, type MemberClass } from '@salus/contracts';
import { ed25519PublicKey, toBase64url } from '@salus/protocol';
import { readSeed } from '@salus/server';
import { type Command, Option } from 'commander';
import { type Cli, examples, type GlobalOptions, integerOption, type Outcome, urlDefault, usageFault } from '../cli.ts';
import { connectionFlags } from '../network/addresses.ts';
import { Ballots, type Opened } from '../network/ballots.ts';
import { invitationOf } from '../network/invitation.ts';
import { type JoinReport, joinNetwork } from '../network/join.ts';
import { basePortDefault, portMax, portMin } from '../network/limits.ts';
import { readNetwork } from '../network/network-directory.ts';
import { checkNewcomer, checkPlacement } from '../network/placement.ts';

interface JoinCommandOptions extends GlobalOptions {
  invitation: string;
  anchor: string;
  slug: string;
  name: string;
  role: string;
  class: MemberClass;
  basePort: number;
  host: string;
  endpoint?: string;
  tls?: boolean;
  rpc?: string[];
}

interface BallotCommandOptions extends GlobalOptions {
  org: string;
  url: string;
  choice: 'yes' | 'no' | 'abstain' | 'veto';
  reason?: string;
}

const classes = ['provider', 'payer', 'patientRepresentatives', 'pharmacy', 'manufacturer', 'research', 'regulator'];
const proposalMax = Number.MAX_SAFE_INTEGER;

function textOf({ stage, did, slug, endpoint, ports, request }: JoinReport, data: string, host: string): string {
  if (stage === 'requested') {
    return [
      `${slug} is ${did}, its node at ${endpoint}`,
      `Give ${request} to a regulator of the network, within five minutes: salus network sponsor request.json`,
      'Then run this command again.',
    ].join('\n');
  }
  return [
    `${slug} was admitted. It takes the state from the others when it starts:`,
    [
      '  salus start --engine cometbft',
      '--data',
      data,
      '--host',
      host,
      '--port',
      ports.http,
      ...connectionFlags(data),
    ].join(' '),
    `Then let it propose itself as a validator: salus network validator --data ${data} --org ${slug} --url …`,
  ].join('\n');
}

function addJoining(program: Command, cli: Cli): void {
  program
    .command('invite')
    .summary('write what a new member needs to find the network')
    .option('--dir <dir>', 'directory of the network', '.network')
    .requiredOption('--out <file>', 'where to write it; nothing in it is secret')
    .addHelpText('after', examples('salus network invite --dir /srv/network --out invitation.json'))
    .action(
      cli.action<GlobalOptions & { dir: string; out: string }, []>(async ({ dir, out }) => {
        writeFileSync(out, `${JSON.stringify(invitationOf(resolve(dir), readNetwork(resolve(dir))), null, 2)}\n`);
        return {
          value: { file: out },
          text: `${out}; give the anchor another way: it is at /api/anchor of any member’s node`,
        };
      }),
    );
  program
    .command('join')
    .summary('become a member of a network')
    .description(
      'Makes keys of a new organisation in --data and a request to be registered; run again when the members have ' +
        'admitted it, it sets up a node that takes the state from the others, proven from the anchor on.',
    )
    .requiredOption('--invitation <file>', 'from a member')
    .requiredOption('--anchor <file>', 'from somebody you trust')
    .requiredOption('--slug <slug>', 'short name of the organisation')
    .requiredOption('--name <name>', 'its name')
    .addOption(new Option('--role <role>', 'what it is').choices(identity.organisationRoles).makeOptionMandatory())
    .addOption(new Option('--class <class>', 'whose side it votes with').choices(classes).makeOptionMandatory())
    .option(
      '--base-port <port>',
      'first of three ports',
      integerOption('--base-port', portMin, portMax),
      basePortDefault,
    )
    .option('--host <address>', 'address of the node and of its consensus', '127.0.0.1')
    .option('--endpoint <url>', 'where others reach its node (default: at --host)')
    .option(
      '--tls',
      'HTTPS with a certificate of its own (default where the others speak HTTPS and no --endpoint is given)',
    )
    .option('--rpc <host:port...>', 'RPC of two members’ CometBFTs, where the invitation’s cannot be reached')
    .addHelpText(
      'after',
      examples(
        'salus network join --data /srv/clinic-5 --invitation invitation.json --anchor anchor.json \\\n' +
          '      --slug clinic-5 --name "Clinic 5" --role clinic --class provider --base-port 26700',
      ),
    )
    .action(
      cli.action<JoinCommandOptions, []>(async (options) => {
        const { slug, name, endpoint, basePort, host } = options;
        checkNewcomer({ slug, name, endpoint });
        checkPlacement({ members: 1, basePort, host });
        const report = await joinNetwork(options);
        return { value: report, text: textOf(report, options.data, options.host) };
      }),
    );
}

function withBallot(command: Command): Command {
  return command
    .requiredOption('--org <slug>', 'organisation that signs')
    .option('--url <url>', 'address of a node', urlDefault);
}

function opened({ proposal, digest, deadlineMs }: Opened): Outcome {
  const until = new Date(deadlineMs).toISOString();
  return {
    value: { proposal, digest, deadlineMs },
    text: `Proposal ${proposal}, votes until ${until}: salus network vote ${proposal}`,
  };
}

function addVoting(program: Command, cli: Cli): void {
  withBallot(program.command('sponsor <request>'))
    .summary('register a newcomer, as a regulator, and propose to admit it')
    .addHelpText('after', examples('salus network sponsor request.json --data /srv/network/regulator --org regulator'))
    .action(
      cli.action<BallotCommandOptions, [string]>(async (options, file) =>
        opened(await new Ballots(options).sponsor(file)),
      ),
    );
  withBallot(program.command('validator'))
    .summary('propose the own CometBFT as a validator')
    .addHelpText('after', examples('salus network validator --data /srv/clinic-5 --org clinic-5'))
    .action(
      cli.action<BallotCommandOptions, []>(async (options) => {
        const key = toBase64url(ed25519PublicKey(readSeed(options.data)));
        return opened(await new Ballots(options).proposeValidator(key));
      }),
    );
  withBallot(program.command('vote <proposal>'))
    .summary('vote on a proposal')
    .addOption(new Option('--choice <choice>').choices(['yes', 'no', 'abstain', 'veto']).default('yes'))
    .option('--reason <file>', 'document that says why, for a veto; the ledger has its digest alone')
    .addHelpText(
      'after',
      examples(
        'salus network vote 3 --data /srv/network/clinic --org clinic',
        'salus network vote 3 --choice veto --reason why.pdf --data /srv/network/clinic --org clinic',
      ),
    )
    .action(
      cli.action<BallotCommandOptions, [string]>(async (options, number) => {
        const proposal = integerOption('<proposal>', 0, proposalMax)(number);
        const { choice, org, reason } = options;
        if ((choice === 'veto') !== (reason !== undefined)) {
          throw usageFault('A veto has a --reason, and nothing else has one.');
        }
        const ballots = new Ballots(options);
        if (choice !== 'veto') await ballots.vote(proposal, choice);
        else await ballots.veto(proposal, readFileSync(reason ?? ''));
        return { value: { proposal, choice, org }, text: `${org} votes ${choice} on proposal ${proposal}.` };
      }),
    );
  withBallot(program.command('execute <proposal>'))
    .summary('bring into force what was adopted')
    .addHelpText('after', examples('salus network execute 3 --data /srv/network/clinic --org clinic'))
    .action(
      cli.action<BallotCommandOptions, [string]>(async (options, number) => {
        const proposal = integerOption('<proposal>', 0, proposalMax)(number);
        const effectiveHeight = await new Ballots(options).execute(proposal);
        const when = effectiveHeight === undefined ? 'now' : `from block ${effectiveHeight} on`;
        return { value: { proposal, effectiveHeight }, text: `Proposal ${proposal} is in force ${when}.` };
      }),
    );
}

/** A new member comes in, and members vote. */
export function addJoin(program: Command, cli: Cli): void {
  addJoining(program, cli);
  addVoting(program, cli);
}
