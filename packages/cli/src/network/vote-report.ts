import { governance, identity, type MemberClass, type StateReader } from '@salus/contracts';
import type { Did } from '@salus/protocol';

type Named = { did: Did; slug: string };
type Ballot = Named & {
  class: MemberClass;
  choice?: governance.Ballot['choice'];
  atMs?: number;
  height?: number;
  /** False for the yes or abstention of who is suspended or removed. */
  counts: boolean;
};

/** A proposal, and how the vote on it stands. Times are milliseconds since 1970. */
export type VoteReport = {
  proposal: number;
  status: governance.ProposalStatus;
  kind: governance.ChangeKind;
  change: governance.Change;
  /** The change in words. */
  what: string;
  by: Named;
  digest: string;
  reason: string;
  openedMs: number;
  openedHeight: number;
  deadlineMs: number;
  executeUntilMs: number;
  activationHeight: number;
  /** Whether it takes effect at a height that its execution announces; at once otherwise. */
  isAnnounced: boolean;
  rules: governance.VotingRules;
  closed?: governance.Proposal['closed'];
  /** By class. Absent where the vote was closed, unless the proposal was asked for. */
  tally?: governance.Tally;
  /** What is there and what is needed. */
  standing?: governance.Standing;
  /** Of the proposal that was asked for. */
  ballots?: Ballot[];
};

const keyCharsShown = 12;

function slugOf(reader: StateReader, did: Did): string {
  return identity.organisation(reader, did)?.slug ?? did;
}

function short(key: string): string {
  return `${key.slice(0, keyCharsShown)}…`;
}

/** The change in words, with the names of who is meant. */
function changeText(reader: StateReader, change: governance.Change): string {
  const nameOf = (did: string): string => slugOf(reader, did as Did);
  switch (change.kind) {
    case 'admit':
      return `admit ${nameOf(change.member)} as ${change.class}`;
    case 'remove':
    case 'suspend':
    case 'reinstate':
      return `${change.kind} ${nameOf(change.member)}`;
    case 'validators':
      return change.changes
        .map(({ publicKey, member, power }) => `validator ${short(publicKey)} of ${nameOf(member)}: power ${power}`)
        .join('; ');
    case 'rotateValidator':
      return `validator ${short(change.validator)} becomes ${short(change.publicKey)}, both for ${change.overlapBlocks} blocks`;
    case 'parameter':
      return `parameter ${change.name} = ${change.value}`;
    case 'votingRules':
      return `voting rules of ${change.of}`;
    case 'ruleSet':
      return `rule set ${short(change.digest)} from ${new Date(change.effectiveMs).toISOString()}`;
    case 'upgrade':
      return `upgrade to version ${change.version}`;
    case 'cancelUpgrade':
      return `cancel the upgrade to version ${change.version}`;
  }
}

function isPending(status: governance.ProposalStatus | undefined): boolean {
  return status === 'open' || status === 'adopted';
}

function ballotsOf(reader: StateReader, n: number, nowMs: number): Ballot[] {
  return governance.proposalVoters(reader, n, nowMs).map(({ did, ballot, ...rest }) => ({
    did,
    slug: slugOf(reader, did),
    ...rest,
    ...ballot,
  }));
}

/** Undefined where there is no proposal of that number. */
export function voteReport(reader: StateReader, n: number, nowMs: number, isWhole: boolean): VoteReport | undefined {
  const found = governance.proposal(reader, n);
  const status = governance.proposalStatus(reader, n, nowMs);
  if (!found || !status) return undefined;
  const { by, change, electorate: _, closed, ...rest } = found;
  const isCounted = isWhole || closed === undefined;
  return {
    proposal: n,
    status,
    kind: change.kind,
    change,
    what: changeText(reader, change),
    by: { did: by, slug: slugOf(reader, by) },
    ...rest,
    isAnnounced: governance.isAnnounced(change),
    ...(closed && { closed }),
    ...(isCounted && {
      tally: governance.proposalTally(reader, n, nowMs),
      standing: governance.proposalStanding(reader, n, nowMs),
    }),
    ...(isWhole && { ballots: ballotsOf(reader, n, nowMs) }),
  };
}

/** All that can be voted on or executed, and the latest `pastMax` of the others; the latest first. `left` are the older ones. */
export function voteReports(
  reader: StateReader,
  nowMs: number,
  pastMax: number,
): { proposals: VoteReport[]; left: number } {
  const listed = new Set(governance.openProposals(reader).map(({ proposal }) => proposal));
  const proposals: VoteReport[] = [];
  let [past, left] = [0, 0];
  for (let n = governance.proposalCount(reader) - 1; n >= 0; n -= 1) {
    // Whatever left the list of open ones is over: how is not asked of those that are not shown.
    const isOver = !listed.has(n) || !isPending(governance.proposalStatus(reader, n, nowMs));
    if (isOver) past += 1;
    if (isOver && past > pastMax) left += 1;
    else {
      const report = voteReport(reader, n, nowMs, false);
      if (report) proposals.push(report);
    }
  }
  return { proposals, left };
}
