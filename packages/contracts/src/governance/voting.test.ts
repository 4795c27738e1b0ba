import { canonicalJson, type JsonValue } from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import { costPerTransactionMax } from '../kernel/state.ts';
import { errorName, testDigest, testGenesis, testMembers, testParticipant } from '../kernel/test-kit.ts';
import { Assembly, everyMember, executionMs, reason, votingMs } from './assembly.ts';
import type { Change } from './changes.ts';
import { membersMax } from './member-changes.ts';
import {
  activeVersion,
  member,
  members,
  membersOfClass,
  parameter,
  proposalStanding,
  proposalStatus,
  proposalTally,
  proposalVoters,
  votingRules,
} from './queries.ts';
import { initialVotingRules } from './voting-rules.ts';

const { hospital, clinic, payer, regulator, patients } = testMembers();
const timeout = (value: number): Change => ({ kind: 'parameter', name: 'requestTimeoutMs', value });
const admitting = (did: string, memberClass: 'provider' | 'payer' | 'patientRepresentatives' = 'provider'): Change =>
  ({ kind: 'admit', member: did, class: memberClass }) as Change;
const about = (kind: 'remove' | 'suspend' | 'reinstate', { did }: { did: string }): Change =>
  ({ kind, member: did }) as Change;

/** An organisation that the regulator registered. */
function newcomer(assembly: Assembly, label: string) {
  const person = testParticipant(label);
  const { did, keys } = person;
  const message = {
    type: 'identity/registerOrganisation',
    did,
    name: label,
    slug: label,
    role: 'hospital',
    endpoint: '',
  };
  assembly.ledger.accept([{ ...message, keys }], [regulator, person]);
  return person;
}

/** Four equal validators may become three. */
const threeValidators = { validatorsMin: 3, validatorMemberPowerPerMilleMax: 334 };
const standing = ({ ledger }: Assembly, n: number) => proposalStanding(ledger.reader(), n, ledger.timeMs);
const status = (assembly: Assembly, n: number) => proposalStatus(assembly.ledger.reader(), n, assembly.ledger.timeMs);

describe('R-LED-6 proposals: votes by class decide', () => {
  type Ballots = [hospital: string, clinic: string, payer: string, regulator: string, patients: string];
  const cases: [title: string, ballots: Ballots, outcome: string][] = [
    ['everybody', ['yes', 'yes', 'yes', 'yes', 'yes'], 'adopted'],
    ['nobody votes', ['', '', '', '', ''], 'rejected'],
    ['half of the members are a quorum only when three of five vote', ['yes', '', 'yes', '', ''], 'rejected'],
    ['three classes of four', ['yes', '', 'yes', 'yes', ''], 'adopted'],
    ['two classes of four are not more than half', ['yes', 'yes', 'yes', '', ''], 'rejected'],
    ['a class that is divided does not approve', ['yes', 'no', 'yes', 'yes', 'no'], 'rejected'],
    ['abstentions count for the quorum alone', ['yes', 'abstain', 'abstain', 'abstain', 'abstain'], 'rejected'],
    ['an abstention leaves the decision to the others', ['yes', 'abstain', 'yes', 'yes', 'abstain'], 'adopted'],
    ['a large class does not outvote small ones', ['yes', 'yes', 'no', 'no', 'no'], 'rejected'],
    ['a class vetoes', ['yes', 'yes', 'yes', 'yes', 'veto'], 'vetoed'],
    ['a veto counts as a no', ['veto', 'yes', 'yes', 'yes', ''], 'rejected'],
    ['half a class does not veto', ['veto', 'yes', 'yes', 'yes', 'yes'], 'adopted'],
  ];
  it.each(cases)('%s: %#', (_title, ballots, outcome) => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    for (const [index, choice] of ballots.entries()) {
      if (choice !== '') expect(assembly.vote(opened, everyMember[index]!, choice)).toBe('accepted');
    }
    expect(status(assembly, 0)).toBe('open');
    expect(assembly.execute(opened)).toBe('notAdopted');
    expect(standing(assembly, 0)?.outcome).toBe(outcome);
    assembly.ledger.advance(votingMs);
    expect(status(assembly, 0)).toBe(outcome);
    expect(assembly.execute(opened)).toBe(outcome === 'adopted' ? 'accepted' : 'notAdopted');
    const value = outcome === 'adopted' ? 120_000 : 1_800_000;
    expect(parameter(assembly.ledger.reader(), 'requestTimeoutMs')).toBe(value);
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('says before the end how many members and classes are there, and how many are needed', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    const before = { electorate: 5, voted: 0, quorum: 3, classes: 4, approvingNeeded: 3, vetoingMax: 1 };
    expect(standing(assembly, 0)).toEqual({ ...before, approving: [], vetoing: [], outcome: 'rejected' });
    for (const voter of [hospital, payer]) assembly.vote(opened, voter, 'yes');
    assembly.vote(opened, clinic, 'abstain');
    expect(standing(assembly, 0)).toMatchObject({ voted: 3, approving: ['payer', 'provider'], outcome: 'rejected' });
    assembly.vote(opened, regulator, 'yes');
    expect(standing(assembly, 0)).toMatchObject({ voted: 4, outcome: 'adopted' });
    assembly.vote(opened, patients, 'veto');
    const vetoed = { voted: 5, vetoing: ['patientRepresentatives'], outcome: 'vetoed' };
    expect(standing(assembly, 0)).toMatchObject(vetoed);
    const voters = proposalVoters(assembly.ledger.reader(), 0, assembly.ledger.timeMs);
    expect(voters.map(({ did, ballot, counts }) => [did, ballot?.choice, counts])).toEqual([
      [hospital.did, 'yes', true],
      [clinic.did, 'abstain', true],
      [payer.did, 'yes', true],
      [regulator.did, 'yes', true],
      [patients.did, 'veto', true],
    ]);
  });

  it('names those who may vote: not whom it is about, not who came later, and no absent ones that did not', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(about('suspend', clinic));
    const voted = (): [string, string | undefined, boolean][] =>
      proposalVoters(assembly.ledger.reader(), 0, assembly.ledger.timeMs).map(({ did, ballot, counts }) => [
        did,
        ballot?.choice,
        counts,
      ]);
    expect(voted().map(([did]) => did)).toEqual([hospital, payer, regulator, patients].map(({ did }) => did));
    expect(proposalVoters(assembly.ledger.reader(), 7, 0)).toEqual([]);
    expect(standing(assembly, 7)).toBeUndefined();
    assembly.vote(opened, payer, 'yes');
    assembly.ledger.accept(
      [{ type: 'governance/suspendInEmergency', member: payer.did, reason }],
      [regulator, patients],
    );
    expect(voted()).toContainEqual([payer.did, 'yes', false]);
    expect(standing(assembly, 0)?.voted).toBe(0);
  });

  it('counts one ballot of a member, the last one before the deadline', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    for (const choice of ['no', 'yes', 'yes', 'no', 'yes'])
      expect(assembly.vote(opened, payer, choice)).toBe('accepted');
    const twice = [1, 2].map(() => ({ type: 'governance/vote', ...opened, choice: 'yes' }));
    expect(errorName(assembly.ledger, assembly.ledger.run(twice, [regulator]))).toBe('accepted');
    const tally = proposalTally(assembly.ledger.reader(), 0, assembly.ledger.timeMs);
    expect(tally?.payer).toEqual({ members: 1, yes: 1, no: 0, abstain: 0, veto: 0 });
    expect(tally?.regulator?.yes).toBe(1);
    assembly.ledger.advance(votingMs);
    expect(assembly.vote(opened, patients)).toBe('votingEnded');
  });

  it('takes the vote of whoever was a member when it was opened, and of nobody else', () => {
    const assembly = new Assembly();
    const late = newcomer(assembly, 'late');
    const opened = assembly.propose(timeout(120_000));
    expect(assembly.vote(opened, late)).toBe('memberNeeded');
    const admission = assembly.propose(admitting(late.did));
    assembly.approve(admission);
    assembly.ledger.advance(votingMs - 20_000);
    const between = assembly.propose(timeout(240_000));
    assembly.ledger.advance(20_000);
    expect(assembly.execute(admission)).toBe('accepted');
    expect(assembly.vote(between, late)).toBe('notInElectorate');
    expect(assembly.vote(between, payer)).toBe('accepted');
    const next = assembly.propose(timeout(180_000));
    expect(assembly.vote(next, late)).toBe('accepted');
    expect(membersOfClass(assembly.ledger.reader(), 'provider')).toContain(late.did);
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('means what the voter read: another number or content is refused, and a closed one takes no votes', () => {
    const assembly = new Assembly();
    const [one, two] = [assembly.propose(timeout(120_000)), assembly.propose(timeout(180_000), [clinic])];
    expect(assembly.vote({ ...one, digest: two.digest }, payer)).toBe('proposalDiffers');
    expect(assembly.vote({ ...one, proposal: 7 }, payer)).toBe('proposalUnknown');
    const withdraw = { type: 'governance/withdraw', ...one };
    expect(assembly.run(withdraw, [clinic])).toBe('notYourProposal');
    expect(assembly.run(withdraw, [hospital])).toBe('accepted');
    expect([assembly.vote(one, payer), assembly.run(withdraw, [hospital])]).toEqual(['votingEnded', 'notYourProposal']);
    assembly.approve(two);
    assembly.ledger.advance(votingMs);
    expect(assembly.run({ type: 'governance/withdraw', ...two }, [clinic])).toBe('notYourProposal');
    expect([assembly.execute(two), assembly.execute(two), assembly.execute(one)]).toEqual([
      'accepted',
      'notAdopted',
      'notAdopted',
    ]);
    expect([status(assembly, 0), status(assembly, 1)]).toEqual(['withdrawn', 'executed']);
  });

  it('lapses when nobody executes it, and waits for its activation height', () => {
    const assembly = new Assembly();
    const [lapsing, waiting] = [
      assembly.propose(timeout(120_000)),
      assembly.propose(timeout(180_000), [hospital], assembly.ledger.height + 20),
    ];
    for (const opened of [lapsing, waiting]) assembly.approve(opened);
    assembly.ledger.advance(votingMs);
    expect(assembly.execute(waiting)).toBe('tooEarly');
    while (assembly.ledger.height < 21)
      assembly.ledger.accept([{ type: 'kernel/stamp', digest: testDigest(`${assembly.ledger.height}`) }], [payer]);
    expect(assembly.execute(waiting)).toBe('accepted');
    assembly.ledger.advance(executionMs);
    expect(status(assembly, 0)).toBe('lapsed');
    expect(assembly.execute(lapsing)).toBe('notAdopted');
  });

  it('has the rules of its opening, whatever is decided about rules meanwhile', () => {
    const assembly = new Assembly();
    const rules = { ...initialVotingRules.parameter, quorumPerMille: 800, vetoPerMille: 1_000 };
    const changing = assembly.propose({ kind: 'votingRules', of: 'parameter', rules });
    assembly.approve(changing);
    assembly.ledger.advance(votingMs - 20_000);
    const old = assembly.propose(timeout(120_000));
    assembly.ledger.advance(20_000);
    expect(assembly.execute(changing)).toBe('accepted');
    expect(votingRules(assembly.ledger.reader(), 'parameter')).toEqual(rules);
    for (const voter of [hospital, payer, regulator]) assembly.vote(old, voter);
    const recent = assembly.propose(timeout(180_000));
    for (const voter of [hospital, payer, regulator]) assembly.vote(recent, voter);
    assembly.ledger.advance(votingMs);
    expect([status(assembly, 1), status(assembly, 2)]).toEqual(['adopted', 'open']);
    assembly.ledger.advance(rules.votingMs);
    expect(status(assembly, 2)).toBe('rejected');
  });

  it('has no force when another one changed the same meanwhile', () => {
    const assembly = new Assembly();
    const [first, second] = [assembly.propose(timeout(120_000)), assembly.propose(timeout(180_000), [clinic])];
    for (const opened of [first, second]) assembly.approve(opened);
    assembly.ledger.advance(votingMs);
    expect([assembly.execute(first), assembly.execute(second)]).toEqual(['accepted', 'proposalOutdated']);
    expect(parameter(assembly.ledger.reader(), 'requestTimeoutMs')).toBe(120_000);
  });

  it('cannot be voted on and executed in one block', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    const { ledger } = assembly;
    ledger.advance(votingMs - 2_000);
    const votes = everyMember.map((voter) =>
      ledger.transaction([{ type: 'governance/vote', ...opened, choice: 'yes' }], [voter]),
    );
    const executed = ledger.transaction([{ type: 'governance/execute', ...opened }], [clinic]);
    const block = [...votes, executed].map((tx) => ({ tx, keysUsed: ledger.keysUsed(tx) }));
    const names = ledger.runBlock(block).map((result) => errorName(ledger, result));
    expect(names).toEqual([...votes.map(() => 'accepted'), 'notAdopted']);
  });

  it('costs what one transaction may, with as many members as there may ever be', () => {
    const members = testGenesis().members;
    const many = Array.from({ length: 200 }, (_, n) => testParticipant(`member ${n}`)).map(({ did, keys }, n) => ({
      ...members[0]!,
      did,
      keys,
      slug: `member-${n}`,
    }));
    const assembly = new Assembly({ members: [...members, ...many] });
    const { ledger } = assembly;
    const message = { type: 'governance/propose', change: timeout(120_000), reason, activationHeight: 0 };
    const opening = ledger.accept([message as unknown as JsonValue], [hospital]);
    const { proposal: n, digest } = opening.outputs[0] as { proposal: number; digest: string };
    ledger.advance(votingMs);
    const counting = ledger.run([{ type: 'governance/execute', proposal: n, digest }], [clinic]);
    expect(errorName(ledger, counting)).toBe('notAdopted');
    const times = membersMax / (members.length + many.length);
    expect(Math.max(opening.cost, counting.cost) * times).toBeLessThan(costPerTransactionMax / 10);
  });

  it('bounds how many are open', () => {
    const assembly = new Assembly({ parameters: { proposalsOpenPerMemberMax: 2 } });
    for (const value of [120_000, 180_000]) assembly.propose(timeout(value));
    expect(assembly.proposing(timeout(240_000))).toBe('proposalsTooMany');
    expect(assembly.proposing(timeout(240_000), [payer])).toBe('accepted');
    assembly.ledger.advance(votingMs + executionMs);
    expect(assembly.proposing(timeout(240_000))).toBe('accepted');
    expect(assembly.ledger.problems()).toEqual([]);
  });
});

describe('R-LED-6 proposals that cannot be made', () => {
  const stranger = testParticipant('stranger');
  const cases: [title: string, change: Change, signers: (typeof hospital)[], error: string][] = [
    ['by a stranger', timeout(120_000), [stranger], 'signerUnknown'],
    ['an unknown parameter', { kind: 'parameter', name: 'speedOfLight', value: 1 }, [hospital], 'parameterUnknown'],
    ['a name of JavaScript', { kind: 'parameter', name: 'constructor', value: 1 }, [hospital], 'parameterUnknown'],
    ['a value out of bounds', timeout(1), [hospital], 'parameterOutOfBounds'],
    ['the present value', timeout(1_800_000), [hospital], 'nothingToChange'],
    [
      'a quorum that one absent member could make unreachable',
      { kind: 'votingRules', of: 'parameter', rules: { ...initialVotingRules.parameter, quorumPerMille: 1_000 } },
      [hospital],
      'messageMalformed',
    ],
    [
      'the present rules',
      { kind: 'votingRules', of: 'admit', rules: { ...initialVotingRules.admit, votingMs: 3_600_000 } },
      [hospital],
      'accepted',
    ],
    ['somebody who is not registered', admitting(stranger.did), [hospital], 'organisationUnfit'],
    ['a member', admitting(payer.did, 'payer'), [hospital], 'memberExists'],
    ['the last of a class', about('remove', payer), [hospital], 'lastOfClass'],
    ['removing a stranger', about('remove', stranger), [hospital], 'memberUnknown'],
    ['reinstating who is not suspended', about('reinstate', payer), [hospital], 'memberNotSuspended'],
    [
      'a rule set that nobody published',
      { kind: 'ruleSet', digest: reason, effectiveMs: 0 },
      [hospital],
      'ruleSetUnknown',
    ],
    ['a version that does not follow', { kind: 'upgrade', version: 3, release: reason }, [hospital], 'versionUnfit'],
    ['cancelling what is not announced', { kind: 'cancelUpgrade', version: 2 }, [hospital], 'nothingAnnounced'],
  ];
  it.each(cases)('%s', (_title, change, signers, error) => {
    expect(new Assembly().proposing(change, signers)).toBe(error);
  });

  it('far in the future', () => {
    expect(new Assembly().proposing(timeout(120_000), [hospital], 2_000_000)).toBe('activationTooFar');
  });
});

describe('R-LED-6 members come, go and are suspended', () => {
  it('removes a member with its say: its yes no longer counts, its no does, and it comes back in its class', () => {
    const assembly = new Assembly({ parameters: threeValidators });
    const { ledger } = assembly;
    const [wanted, unwanted] = [assembly.propose(timeout(120_000)), assembly.propose(timeout(180_000), [payer])];
    assembly.vote(wanted, clinic, 'yes');
    assembly.vote(unwanted, clinic, 'no');
    const removal = assembly.propose(about('remove', clinic));
    expect(assembly.vote(removal, clinic, 'veto')).toBe('notInElectorate');
    assembly.approve(removal, [hospital, payer, regulator, patients]);
    ledger.advance(votingMs);
    expect(assembly.execute(removal, hospital)).toBe('accepted');
    expect(members(ledger.reader())).not.toContain(clinic.did);
    const counted = [0, 1].map((n) => proposalTally(ledger.reader(), n, ledger.timeMs)?.provider);
    expect(counted).toEqual([
      { members: 2, yes: 0, no: 0, abstain: 0, veto: 0 },
      { members: 2, yes: 0, no: 1, abstain: 0, veto: 0 },
    ]);
    expect(assembly.proposing(timeout(240_000), [clinic])).toBe('memberNeeded');
    expect(assembly.proposing(admitting(clinic.did, 'payer'))).toBe('classFixed');
    const back = assembly.propose(admitting(clinic.did));
    assembly.approve(back, [hospital, payer, regulator, patients]);
    ledger.advance(votingMs);
    expect(assembly.execute(back, hospital)).toBe('accepted');
    expect(membersOfClass(ledger.reader(), 'provider')).toEqual([hospital.did, clinic.did]);
    expect(ledger.problems()).toEqual([]);
  });

  it('suspends by vote until the member is reinstated; nobody of it signs meanwhile', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(about('suspend', payer));
    assembly.approve(opened);
    assembly.ledger.advance(votingMs);
    expect(assembly.execute(opened)).toBe('accepted');
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('signerSuspended');
    expect(assembly.proposing(about('suspend', payer))).toBe('memberSuspended');
    assembly.ledger.advance(40 * 24 * 3_600_000);
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('signerSuspended');
    expect(assembly.decide(about('reinstate', payer))).toBe('accepted');
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('accepted');
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('lets no regulator alone end a member that was admitted by vote', () => {
    const assembly = new Assembly();
    const late = newcomer(assembly, 'late');
    const suspend = { type: 'identity/setStatus', participant: late.did, status: 'suspended' };
    expect(assembly.decide(admitting(late.did))).toBe('accepted');
    expect(assembly.run(suspend, [regulator])).toBe('statusByVote');
    expect(assembly.decide(about('remove', late))).toBe('accepted');
    expect(assembly.run(suspend, [regulator])).toBe('accepted');
  });

  const emergency = (assembly: Assembly, target: { did: string }, signers: (typeof hospital)[]) =>
    assembly.run({ type: 'governance/suspendInEmergency', member: target.did, reason }, signers);

  it.each<[title: string, target: { did: string }, signers: (typeof hospital)[], error: string]>([
    ['two classes', payer, [hospital, regulator], 'accepted'],
    ['one member', payer, [hospital], 'twoClassesNeeded'],
    ['two members of one class', payer, [hospital, clinic], 'twoClassesNeeded'],
    ['the member itself and another one', payer, [hospital, payer], 'twoClassesNeeded'],
    ['the member itself first', payer, [payer, hospital], 'memberNeeded'],
    ['a stranger', testParticipant('stranger'), [hospital, regulator], 'memberUnknown'],
  ])('suspends in an emergency: %s', (_title, target, signers, error) => {
    expect(emergency(new Assembly(), target, signers)).toBe(error);
  });

  it('ends an emergency suspension by itself; the same two and the same target have to wait', () => {
    const assembly = new Assembly();
    expect(emergency(assembly, payer, [hospital, regulator])).toBe('accepted');
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('signerSuspended');
    expect(emergency(assembly, payer, [clinic, patients])).toBe('memberSuspended');
    expect(emergency(assembly, clinic, [hospital, patients])).toBe('emergencyRunning');
    assembly.ledger.advance(3_600_000);
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('accepted');
    expect(emergency(assembly, payer, [clinic, patients])).toBe('emergencyTooSoon');
    expect(emergency(assembly, clinic, [hospital, patients])).toBe('accepted');
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('lets a vote make an emergency suspension last', () => {
    const assembly = new Assembly();
    const ratify = { type: 'governance/ratifySuspension', member: payer.did, reason };
    expect(assembly.run(ratify, [hospital])).toBe('memberNotSuspended');
    emergency(assembly, payer, [hospital, regulator]);
    const { outputs } = assembly.ledger.accept([ratify], [hospital]);
    const { proposal: n, digest } = outputs[0] as { proposal: number; digest: string };
    assembly.approve({ proposal: n, digest });
    assembly.ledger.advance(votingMs);
    expect(assembly.execute({ proposal: n, digest })).toBe('accepted');
    assembly.ledger.advance(4 * 3_600_000);
    expect(member(assembly.ledger.reader(), payer.did)?.suspension?.basis).toBe('vote');
    expect(assembly.proposing(timeout(120_000), [payer])).toBe('signerSuspended');
  });

  it('never helps a proposal by suspending who is against it', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    for (const [voter, choice] of [
      [hospital, 'yes'],
      [regulator, 'yes'],
      [payer, 'yes'],
      [patients, 'veto'],
    ] as const) {
      assembly.vote(opened, voter, choice);
    }
    expect(emergency(assembly, patients, [hospital, regulator])).toBe('accepted');
    assembly.ledger.advance(votingMs);
    expect(status(assembly, 0)).toBe('vetoed');
  });

  it('may hinder one by suspending who is for it, which the end of the suspension takes back', () => {
    const assembly = new Assembly();
    const opened = assembly.propose(timeout(120_000));
    for (const voter of [hospital, regulator, payer]) assembly.vote(opened, voter);
    emergency(assembly, payer, [clinic, patients]);
    assembly.ledger.advance(votingMs);
    expect(status(assembly, 0)).toBe('rejected');
  });
});

describe('R-LED-6 rule sets are published, then adopted', () => {
  const plan = (version: number): JsonValue => ({ format: 'plan/1', id: 'plan-a', version, rules: [version] });
  const publish = (assembly: Assembly, value: JsonValue, by = payer) =>
    assembly.run({ type: 'governance/publishRuleSet', content: canonicalJson(value) }, [by]);

  it('and take effect at their time', () => {
    const assembly = new Assembly();
    const { ledger } = assembly;
    expect(publish(assembly, plan(1))).toBe('accepted');
    expect(publish(assembly, plan(1), clinic)).toBe('ruleSetExists');
    const { outputs } = ledger.accept(
      [{ type: 'governance/publishRuleSet', content: canonicalJson(plan(2)) }],
      [payer],
    );
    const { digest } = outputs[0] as { digest: string };
    expect(assembly.proposing({ kind: 'ruleSet', digest, effectiveMs: 0 })).toBe('ruleSetVersion');
    const first = activeVersion(ledger.reader(), 'plan-a', ledger.timeMs);
    expect(first).toBeUndefined();
    const one = [...ledger.reader().iterate<string>('governance/draft/')].map(([key]) => key.split('/')[2] ?? '');
    const digestOne = one.find((candidate) => candidate !== digest) ?? '';
    const effectiveMs = ledger.timeMs + 3_600_000;
    expect(assembly.decide({ kind: 'ruleSet', digest: digestOne, effectiveMs })).toBe('accepted');
    expect(activeVersion(ledger.reader(), 'plan-a', effectiveMs - 1)).toBeUndefined();
    expect(activeVersion(ledger.reader(), 'plan-a', effectiveMs)?.version).toBe(1);
    expect(assembly.decide({ kind: 'ruleSet', digest, effectiveMs: 0 })).toBe('accepted');
    expect(activeVersion(ledger.reader(), 'plan-a', ledger.timeMs)?.version).toBe(2);
    expect(ledger.problems()).toEqual([]);
  });

  it.each([
    ['not JSON', '{"format"'],
    ['not canonical', '{"version":1,"format":"plan/1","id":"plan-a"}'],
    ['a member twice', '{"format":"plan/1","format":"plan/1","id":"plan-a","version":1}'],
    ['a list', '[]'],
  ])('but not %s', (_title, content) => {
    expect(new Assembly().run({ type: 'governance/publishRuleSet', content }, [payer])).toBe('ruleSetMalformed');
  });

  it('and are bounded in number', () => {
    const assembly = new Assembly({ parameters: { ruleSetDraftsPerMemberMax: 1 } });
    expect([publish(assembly, plan(1)), publish(assembly, plan(2)), publish(assembly, plan(2), clinic)]).toEqual([
      'accepted',
      'draftsTooMany',
      'accepted',
    ]);
    expect(publish(assembly, plan(3), testParticipant('stranger'))).toBe('signerUnknown');
  });
});
