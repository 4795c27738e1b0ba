import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createClient } from '@salus/api';
import { parseAnchor } from '@salus/protocol';
import { NodeErrorCodes, NodeFault } from '@salus/server';
import type { Command } from 'commander';
import { type Cli, examples, type GlobalOptions, integerOption, type Outcome, urlDefault, usageFault } from '../cli.ts';
import { memberUrl, trustAuthority, trustMember } from '../network/addresses.ts';
import { networkError } from '../network/errors.ts';
import { anchorOfDirectory } from '../network/invitation.ts';
import { readNetwork } from '../network/network-directory.ts';
import { ProvenState, type ReadAt } from '../network/proven-state.ts';
import { voteReport, voteReports } from '../network/vote-report.ts';
import { detailText, type Here, listText } from '../network/vote-text.ts';

interface VotesOptions extends GlobalOptions {
  dir: string;
  url?: string;
  anchor?: string;
  past: number;
}

type Source = { url: string; anchor: string; here: Here[] };

const pastDefault = 10;
const proposalMax = Number.MAX_SAFE_INTEGER;

/** The first member on this machine that answers. */
async function ofNetwork(dir: string): Promise<Source> {
  const network = readNetwork(dir);
  trustAuthority(dir);
  const here = network.members.map((member) => ({ ...member, url: memberUrl(network, member) }));
  for (const { url, dataDir } of here) {
    const status = await createClient({ baseUrl: url })
      .status()
      .catch(() => undefined);
    if (status?.chain === network.chain) return { url, anchor: anchorOfDirectory(dataDir), here };
  }
  throw networkError('networkStopped', 'No member of this network answers.');
}

function anchorOfMember(data: string): string {
  try {
    return anchorOfDirectory(data);
  } catch (error) {
    if (!(error instanceof NodeFault) || error.code !== NodeErrorCodes.memberUnready) throw error;
    throw usageFault('It is no member yet: give --anchor with the file that `join` was given, beside --data.');
  }
}

/** Who is asked, and under which anchor the answers must be proven. */
async function sourceOf({ dir, url, anchor, data, isDataGiven }: VotesOptions): Promise<Source> {
  if (isDataGiven === true) {
    trustMember(data);
    trustAuthority(dirname(data));
  }
  if (anchor !== undefined) {
    const text = readFileSync(anchor, 'utf8');
    parseAnchor(text);
    return { url: url ?? urlDefault, anchor: text, here: [] };
  }
  if (isDataGiven === true) return { url: url ?? urlDefault, anchor: anchorOfMember(data), here: [] };
  if (url !== undefined)
    throw usageFault('Beside --url, say with --anchor or --data under what its answers are proven.');
  return ofNetwork(resolve(dir));
}

function heading({ url, anchor }: Source, { height, firstHeight }: ReadAt<unknown>): string {
  const { chain } = parseAnchor(anchor);
  const at = firstHeight === height ? `block ${height}` : `blocks ${firstHeight} to ${height}`;
  return `Network ${chain}, proven by ${url} at ${at}`;
}

async function list(options: VotesOptions): Promise<Outcome> {
  const source = await sourceOf(options);
  const found = await new ProvenState(source.url, source.anchor).read((reader, atMs) =>
    voteReports(reader, atMs, options.past),
  );
  const { value, height, timeMs } = found;
  return {
    value: { chain: parseAnchor(source.anchor).chain, height, timeMs, ...value },
    text: [heading(source, found), ...listText(value.proposals, value.left, Date.now())].join('\n'),
  };
}

async function detail(options: VotesOptions, text: string): Promise<Outcome> {
  const n = integerOption('<proposal>', 0, proposalMax)(text);
  const source = await sourceOf(options);
  const found = await new ProvenState(source.url, source.anchor).read((reader, atMs) =>
    voteReport(reader, n, atMs, true),
  );
  const { value, height, timeMs } = found;
  if (value === undefined) throw networkError('proposalUnknown', `There is no proposal ${n}.`);
  return {
    value: { chain: parseAnchor(source.anchor).chain, height, timeMs, ...value },
    text: [heading(source, found), ...detailText(value, Date.now(), source.here)].join('\n'),
  };
}

export function addVotes(program: Command, cli: Cli): void {
  program
    .command('votes [proposal]')
    .summary('how the votes stand')
    .description(
      'Shows what was proposed, by whom, how the classes voted, what is still needed, when voting ends and from when on it ' +
        'counts; with PROPOSAL everything about that one. All of it is read from one node and proven under the anchor of ' +
        'the network: of the members in --dir, of a member’s own directory (--data, with --url), or of a file (--anchor, ' +
        'with --url).',
    )
    .option('--dir <dir>', 'directory of a network on this machine', '.network')
    .option('--url <url>', `address of a node (default with --data or --anchor: ${urlDefault})`)
    .option('--anchor <file>', 'anchor of the network, from somebody you trust')
    .option(
      '--past <number>',
      'how many to show of those that are over',
      integerOption('--past', 0, proposalMax),
      pastDefault,
    )
    .addHelpText(
      'after',
      examples(
        'salus network votes --dir /srv/network',
        'salus network votes 3 --data /srv/clinic --url https://clinic.example',
        'salus network votes 3 --anchor anchor.json --url https://clinic.example --json',
      ),
    )
    .action(
      cli.action<VotesOptions, [string | undefined]>(async (options, proposal) =>
        proposal === undefined ? list(options) : detail(options, proposal),
      ),
    );
}
