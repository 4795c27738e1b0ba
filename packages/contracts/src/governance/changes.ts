import { type Static, Type } from 'typebox';
import { MemberClassSchema } from '../kernel/genesis.ts';
import { CodeSchema, CountSchema, DidSchema, DigestSchema, TimeMsSchema } from '../kernel/schemas.ts';
import { type ChangeKind, changeKinds, VotingRulesSchema } from './voting-rules.ts';

/** CometBFT bounds the total by MaxTotalVotingPower, 2^63 / 8; this times `validatorsMax` is far below. */
export const validatorPowerMax = 1_000_000;
export const validatorsMax = 200;
export const validatorChangesMax = 16;
export const overlapBlocksMax = 100_000;
const applicationVersionMax = 1_000_000;

const closed = { additionalProperties: false } as const;
const aboutMember = <Kind extends string>(kind: Kind) =>
  Type.Object({ kind: Type.Literal(kind), member: DidSchema }, closed);

const ValidatorChangeSchema = Type.Object(
  {
    /** Ed25519, base64url. */
    publicKey: DigestSchema,
    member: DidSchema,
    /** 0 removes. */
    power: Type.Integer({ minimum: 0, maximum: validatorPowerMax }),
  },
  closed,
);
export type ValidatorChange = Static<typeof ValidatorChangeSchema>;

/** What a proposal changes when it is executed. */
export const ChangeSchema = Type.Union([
  Type.Object({ kind: Type.Literal('admit'), member: DidSchema, class: MemberClassSchema }, closed),
  aboutMember('remove'),
  aboutMember('suspend'),
  aboutMember('reinstate'),
  Type.Object(
    {
      kind: Type.Literal('validators'),
      changes: Type.Array(ValidatorChangeSchema, { minItems: 1, maxItems: validatorChangesMax }),
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('rotateValidator'),
      validator: DigestSchema,
      publicKey: DigestSchema,
      /** Both keys share the power for so many blocks; 0 changes from one block to the next. */
      overlapBlocks: Type.Integer({ minimum: 0, maximum: overlapBlocksMax }),
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('parameter'), name: CodeSchema, value: CountSchema }, closed),
  Type.Object(
    {
      kind: Type.Literal('votingRules'),
      of: Type.Unsafe<ChangeKind>(Type.Union(changeKinds.map((kind) => Type.Literal(kind)))),
      rules: VotingRulesSchema,
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('ruleSet'), digest: DigestSchema, effectiveMs: TimeMsSchema }, closed),
  Type.Object(
    {
      kind: Type.Literal('upgrade'),
      version: Type.Integer({ minimum: 2, maximum: applicationVersionMax }),
      /** Digest of the release that knows the version. */
      release: DigestSchema,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('cancelUpgrade'),
      version: Type.Integer({ minimum: 2, maximum: applicationVersionMax }),
    },
    closed,
  ),
]);
export type Change = Static<typeof ChangeSchema>;
export type ChangeOf<Kind extends Change['kind']> = Extract<Change, { kind: Kind }>;

/** What a change changes: a proposal about something that another one changed meanwhile has no force. */
export function subjectsOf(change: Change): string[] {
  switch (change.kind) {
    case 'admit':
    case 'remove':
    case 'suspend':
    case 'reinstate':
      return [`member/${change.member}`];
    case 'validators':
      return change.changes.map(({ publicKey }) => `validator/${publicKey}`);
    case 'rotateValidator':
      return [`validator/${change.validator}`, `validator/${change.publicKey}`];
    case 'parameter':
      return [`parameter/${change.name}`];
    case 'votingRules':
      return [`votingRules/${change.of}`];
    case 'ruleSet':
      return [`ruleSet/${change.digest}`];
    case 'upgrade':
    case 'cancelUpgrade':
      return ['upgrade/all'];
  }
}

/** Nobody judges their own cause: the member about whom a vote is has none in it. */
export function targetOf(change: Change): string | undefined {
  const isPersonal = change.kind === 'remove' || change.kind === 'suspend' || change.kind === 'reinstate';
  return isPersonal ? change.member : undefined;
}
