import { Type } from 'typebox';

/** What can be decided by vote; each kind has rules of its own. */
export const changeKinds = [
  'admit',
  'remove',
  'suspend',
  'reinstate',
  'validators',
  'rotateValidator',
  'parameter',
  'votingRules',
  'ruleSet',
  'upgrade',
  'cancelUpgrade',
] as const;
export type ChangeKind = (typeof changeKinds)[number];

const secondMs = 1_000;
const hourMs = 3_600 * secondMs;
const dayMs = 24 * hourMs;
const classesMax = 7;

/**
 * Bounds of each rule. The highest thresholds leave room for an absent member, so that no vote can make further votes
 * impossible; the lowest never let a minority decide.
 */
export const votingRuleBounds = {
  /** How long votes are taken. */
  votingMs: { min: hourMs, max: 90 * dayMs },
  /** Share of the electorate that must have voted. */
  quorumPerMille: { min: 100, max: 800 },
  /** More than this share of the classes must approve. */
  classesPerMille: { min: 0, max: 800 },
  /** More than this share of a class's yes and no must be yes for the class to approve. */
  approvalPerMille: { min: 500, max: 800 },
  /** More than this share of a class's members must veto for the class to veto; 1000 is never. */
  vetoPerMille: { min: 333, max: 1_000 },
  /** Classes that must veto to stop a proposal. */
  vetoClasses: { min: 1, max: classesMax },
  /** Least distance between execution and activation, where a change takes effect at a height. */
  noticeBlocks: { min: 1, max: 1_000_000 },
  /** After the end of voting an adopted proposal can be executed for so long. */
  executionMs: { min: dayMs, max: 90 * dayMs },
} as const;
export type VotingRules = { [rule in keyof typeof votingRuleBounds]: number };
export type VotingRuleName = keyof VotingRules;
export const votingRuleNames = Object.keys(votingRuleBounds) as VotingRuleName[];

/** A chain may begin with shorter times, so that a sandbox can vote within seconds. */
export const votingMsMinAtGenesis = secondMs;

const bounded = (name: VotingRuleName) =>
  Type.Integer({ minimum: votingRuleBounds[name].min, maximum: votingRuleBounds[name].max });

export const VotingRulesSchema = Type.Object(
  {
    votingMs: bounded('votingMs'),
    quorumPerMille: bounded('quorumPerMille'),
    classesPerMille: bounded('classesPerMille'),
    approvalPerMille: bounded('approvalPerMille'),
    vetoPerMille: bounded('vetoPerMille'),
    vetoClasses: bounded('vetoClasses'),
    noticeBlocks: bounded('noticeBlocks'),
    executionMs: bounded('executionMs'),
  },
  { additionalProperties: false },
);

const ordinary: VotingRules = {
  votingMs: 7 * dayMs,
  quorumPerMille: 500,
  classesPerMille: 500,
  approvalPerMille: 500,
  vetoPerMille: 500,
  vetoClasses: 1,
  noticeBlocks: 10,
  executionMs: 14 * dayMs,
};
const grave = { quorumPerMille: 666, classesPerMille: 666, approvalPerMille: 666 };
/** One class alone can neither keep others out nor protect its own. */
const amongClasses = { vetoClasses: 2 };

export const initialVotingRules: Readonly<Record<ChangeKind, VotingRules>> = {
  admit: { ...ordinary, ...amongClasses },
  remove: { ...ordinary, ...grave, ...amongClasses, votingMs: 14 * dayMs },
  suspend: { ...ordinary, ...amongClasses, approvalPerMille: 666, votingMs: dayMs },
  reinstate: { ...ordinary, ...amongClasses, votingMs: dayMs },
  validators: { ...ordinary, votingMs: 3 * dayMs },
  rotateValidator: { ...ordinary, quorumPerMille: 250, classesPerMille: 250, votingMs: dayMs },
  parameter: ordinary,
  votingRules: { ...ordinary, ...grave, votingMs: 14 * dayMs },
  ruleSet: ordinary,
  upgrade: { ...ordinary, ...grave, noticeBlocks: 1_000 },
  cancelUpgrade: { ...ordinary, votingMs: 6 * hourMs },
};

export function isChangeKind(kind: string): kind is ChangeKind {
  return changeKinds.some((known) => known === kind);
}

export function isVotingRule(name: string): name is VotingRuleName {
  return Object.hasOwn(votingRuleBounds, name);
}

/** Whether rules are whole and within bounds; those of genesis may have shorter times. */
export function areVotingRules(rules: VotingRules, atGenesis: boolean): boolean {
  return votingRuleNames.every((name) => {
    const { min, max } = votingRuleBounds[name];
    const least = atGenesis && (name === 'votingMs' || name === 'executionMs') ? votingMsMinAtGenesis : min;
    return Number.isSafeInteger(rules[name]) && rules[name] >= least && rules[name] <= max;
  });
}
