import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';

export type Member = { class: MemberClass; status: 'active' | 'suspended'; admittedMs: number; admittedHeight: number };
export type Validator = { power: number; member: Did };
export type Parameter = { value: number; sinceMs: number };
/** A published version; its content stands under its digest. */
export type RuleSetVersion = { digest: string; version: number; format: string; effectiveMs: number };

/** Lists: all members; the members of a class; the versions of a rule set; the ids of the rule sets of a format. */
export const membersPrefix = 'governance/members';
export const classPrefix = 'governance/class';
export const versionsPrefix = 'governance/versions';
export const formatPrefix = 'governance/format';
export const allMembers = 'all';

export const memberKey = (did: Did): string => `governance/member/${did}`;
export const validatorKey = (publicKey: string): string => `governance/validator/${publicKey}`;
export const parameterKey = (name: string): string => `governance/parameter/${name}`;
export const ruleSetKey = (digest: string): string => `governance/ruleSet/${digest}`;
/** A format's name as a segment of a state key, which has no slash. */
export const formatSegment = (format: string): string => format.replaceAll('/', '~');
