/** Random proposals, votes and executions in a small consortium, most of which make sense. Tests only. */
import { canonicalJson, type JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { type TestParticipant, testDigest, testMembers, testParticipant } from '../kernel/test-kit.ts';
import { ofMember, reason, validatorOf, votingMs } from './assembly.ts';
import type { Change } from './changes.ts';
import { initialVotingRules } from './voting-rules.ts';

const { hospital, clinic, payer, regulator, patients } = testMembers();
/** Organisations that the regulator registered and a vote may admit. */
export const applicants = [testParticipant('applicant a'), testParticipant('applicant b')];
const founders = [hospital, clinic, payer, regulator, patients];
export const everybody: TestParticipant[] = [...founders, ...applicants];

/** One transaction; `latest` proposals back from the newest one are filled in when it runs. */
export type VotingStep = { message: JsonValue; signers: TestParticipant[]; latest?: number; advanceMs: number };

/** Higher than any random run comes. */
const activationFar = 2_000;
const one = fc.constantFrom(...everybody);
const founder = fc.constantFrom(...founders);
const dids = everybody.map(({ did }) => did);
const member = fc.constantFrom(...dids);
const keys = [
  ...Object.keys(ofMember).map(validatorOf),
  ...['extra a', 'extra b', 'extra c'].map((label) => testDigest(label)),
];
const key = fc.constantFrom(...keys);
export const planOf = (version: number, rule: number): JsonValue => ({ format: 'plan/1', id: 'p', version, rule });
const content = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 2))
  .map(([version, rule]) => canonicalJson(planOf(version, rule)));

const owners = new Map(Object.entries(ofMember).map(([label, { did }]) => [validatorOf(label), did]));
const validatorChange = fc
  .record({ publicKey: key, other: member, power: fc.constantFrom(0, 1, 8, 9, 11, 12, 1_000_000) })
  .map(({ publicKey, other, power }) => ({ publicKey, member: owners.get(publicKey) ?? other, power }));
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    kind: fc.constant('admit' as const),
    member,
    class: fc.constantFrom('provider' as const, 'payer' as const),
  }),
  fc.record({ kind: fc.constantFrom('remove' as const, 'suspend' as const, 'reinstate' as const), member }),
  {
    arbitrary: fc.record({
      kind: fc.constant('validators' as const),
      changes: fc.array(validatorChange, { minLength: 1, maxLength: 2 }),
    }),
    weight: 4,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant('rotateValidator' as const),
      validator: key,
      publicKey: key,
      overlapBlocks: fc.constantFrom(0, 1, 3, 30),
    }),
    weight: 3,
  },
  fc.record({
    kind: fc.constant('parameter' as const),
    name: fc.constantFrom('validatorsMin', 'requestTimeoutMs', 'validatorMemberPowerPerMilleMax'),
    value: fc.constantFrom(1, 2, 3, 400, 60_000),
  }),
  fc.record({
    kind: fc.constant('votingRules' as const),
    of: fc.constantFrom('parameter' as const, 'validators' as const),
    rules: fc.constantFrom(100, 800).map((quorumPerMille) => ({ ...initialVotingRules.parameter, quorumPerMille })),
  }),
  fc.record({
    kind: fc.constant('ruleSet' as const),
    digest: fc.constantFrom('', '1', '2'),
    effectiveMs: fc.constant(0),
  }),
  fc.record({
    kind: fc.constantFrom('upgrade' as const),
    version: fc.constantFrom(2, 3),
    release: fc.constant(reason),
  }),
  fc.record({ kind: fc.constant('cancelUpgrade' as const), version: fc.constantFrom(2, 3) }),
) as fc.Arbitrary<Change>;

const latest = fc.constantFrom(0, 0, 0, 0, 1, 1, 2, 5);
const advanceMs = fc.constantFrom(0, 0, 0, 0, 1_000, 20_000, votingMs);
const signers = fc.oneof(
  { arbitrary: fc.constant(founders), weight: 2 },
  { arbitrary: fc.uniqueArray(one, { minLength: 1, maxLength: 3 }), weight: 1 },
);

const proposing = fc
  .record({ change, signers, activationHeight: fc.constantFrom(0, 0, 30, 90), advanceMs: fc.constant(0) })
  .map(
    ({ change: wanted, signers: who, activationHeight, advanceMs: ms }): VotingStep => ({
      message: { type: 'governance/propose', change: wanted, reason, activationHeight } as unknown as JsonValue,
      // A rotation is proposed by whose key it is: the first signer.
      signers: rotatedFirst(wanted, who),
      advanceMs: ms,
    }),
  );

function rotatedFirst(wanted: Change, who: TestParticipant[]): TestParticipant[] {
  if (wanted.kind !== 'rotateValidator') return who;
  const [, owner] = Object.entries(ofMember).find(([label]) => validatorOf(label) === wanted.validator) ?? [];
  return owner ? [owner] : who;
}

const onProposal = (message: JsonValue, who: fc.Arbitrary<TestParticipant>): fc.Arbitrary<VotingStep> =>
  fc.record({
    message: fc.constant(message),
    signers: who.map((signer) => [signer]),
    latest,
    advanceMs: fc.constant(0),
  });

const vote = fc
  .constantFrom('yes', 'yes', 'yes', 'no', 'abstain')
  .chain((choice) => onProposal({ type: 'governance/vote', choice }, one));
const execute = fc.record({
  message: fc.constant<JsonValue>({ type: 'governance/execute' }),
  signers: founder.map((signer) => [signer]),
  latest,
  advanceMs,
});
const ofMemberOnly = (type: string) =>
  fc.record({
    message: member.map((did): JsonValue => ({ type, member: did, reason })),
    signers,
    advanceMs: fc.constantFrom(0, 3_600_000),
  });

const single: fc.Arbitrary<VotingStep> = fc.oneof(
  { arbitrary: proposing, weight: 4 },
  { arbitrary: vote, weight: 6 },
  { arbitrary: execute, weight: 4 },
  onProposal({ type: 'governance/withdraw' }, founder),
  ofMemberOnly('governance/suspendInEmergency'),
  ofMemberOnly('governance/ratifySuspension'),
  fc.record({
    message: content.map((text): JsonValue => ({ type: 'governance/publishRuleSet', content: text })),
    signers: founder.map((signer) => [signer]),
    advanceMs: fc.constant(0),
  }),
);

/** What everybody approves and the regulator executes. */
function carriedThrough(opened: VotingStep): VotingStep[] {
  const yes = founders.map((signer) => ({
    message: { type: 'governance/vote', choice: 'yes' },
    signers: [signer],
    latest: 0,
    advanceMs: 0,
  }));
  const end = { message: { type: 'governance/execute' }, signers: [regulator], latest: 0, advanceMs: votingMs };
  return [opened, ...yes, end];
}

const decided: fc.Arbitrary<VotingStep[]> = proposing.map(carriedThrough);
const opening = (wanted: object, activationHeight = 0): VotingStep => ({
  message: { type: 'governance/propose', change: wanted, reason, activationHeight } as unknown as JsonValue,
  signers: [hospital],
  advanceMs: 0,
});
const decide = (wanted: object, activationHeight = 0): VotingStep[] =>
  carriedThrough(opening(wanted, activationHeight));

const adding = (did: string, label: string) => ({
  kind: 'validators',
  changes: [{ publicKey: testDigest(label), member: did, power: 10 }],
});
const rotating = {
  kind: 'rotateValidator',
  validator: validatorOf('payer'),
  publicKey: testDigest('extra b'),
  overlapBlocks: 9,
};

/** What seldom comes together by chance. */
const story: fc.Arbitrary<VotingStep[]> = fc.constantFrom(
  [
    {
      message: { type: 'governance/publishRuleSet', content: canonicalJson(planOf(1, 1)) },
      signers: [payer],
      advanceMs: 0,
    },
    ...decide({ kind: 'ruleSet', digest: '1', effectiveMs: 0 }),
  ],
  ['suspend', 'reinstate'].flatMap((kind) => decide({ kind, member: payer.did })),
  [
    ...decide({ kind: 'upgrade', version: 2, release: reason }, activationFar),
    ...decide({ kind: 'cancelUpgrade', version: 2 }),
  ],
  [
    ...decide({ kind: 'parameter', name: 'validatorsMin', value: 2 }),
    ...decide({ kind: 'parameter', name: 'validatorMemberPowerPerMilleMax', value: 600 }),
    ...decide({ kind: 'remove', member: clinic.did }),
  ],
  [
    { ...opening(adding(patients.did, 'extra a')), signers: [hospital, patients] },
    ...carriedThrough(opening(adding(patients.did, 'extra a'))).slice(1),
    { ...opening(rotating), signers: [payer] },
    ...carriedThrough(opening(rotating)).slice(1),
  ],
  [
    opening({ kind: 'remove', member: clinic.did }),
    { message: { type: 'governance/withdraw' }, signers: [hospital], latest: 0, advanceMs: 0 },
  ],
);

const vetoing = onProposal({ type: 'governance/veto', reason }, one);
/** What is proposed and disputed. */
const disputed = fc.tuple(proposing, fc.array(fc.oneof(vote, vote, vetoing), { minLength: 2, maxLength: 5 }), execute);

/** A suspension by two members and the vote that would make it last. */
const emergency: fc.Arbitrary<VotingStep[]> = member.map((did) =>
  ['governance/suspendInEmergency', 'governance/ratifySuspension'].map((type) => ({
    message: { type, member: did, reason },
    signers: [hospital, regulator],
    advanceMs: 0,
  })),
);

const several: fc.Arbitrary<VotingStep[][]> = fc.array(
  fc.oneof(
    { arbitrary: single.map((step) => [step]), weight: 6 },
    { arbitrary: decided, weight: 6 },
    { arbitrary: disputed.map(([opened, votes, end]) => [opened, ...votes, end]), weight: 3 },
    { arbitrary: emergency, weight: 1 },
    { arbitrary: story, weight: 3 },
  ),
  { minLength: 8, maxLength: 20, size: 'max' },
);

/** Without bias, which would repeat one kind of step. */
export const votingSteps: fc.Arbitrary<VotingStep[]> = fc.noBias(several.map((parts) => parts.flat()));
