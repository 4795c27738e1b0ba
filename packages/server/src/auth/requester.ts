import type { Did } from '@salus/protocol';

/** The person or system for whom a member's token speaks. The member vouches for it; `id` is the member's own name. */
export type Subject = { kind: 'system' } | { kind: 'practitioner'; id: string } | { kind: 'patient'; id: string };

/** A registered member organisation asks, for one of its people or systems. */
export interface MemberRequester {
  kind: 'member';
  organization: { did: Did; slug: string; name: string; role: string };
  subject: Subject;
  /** The person's name as the organisation vouches for it; absent in many tokens. */
  name?: string;
  /** What the person is there: a role code of the identity contract, as `doctor`, `nurse`, `clerk`, `officer`. */
  roles: readonly string[];
  /** HL7 PurposeOfUse that the token was made for; a request may state its own. */
  purpose: string | undefined;
  tokenId: string;
  expiresMs: number;
  /** Made by `salus token` for somebody else: exists on sandbox chains only. */
  impersonated: boolean;
  /** The token was made for this one request, by the node of the member. */
  bound?: true;
}

/** A patient, or somebody who acts for patients, asks with a key of their own wallet. */
export interface WalletRequester {
  kind: 'wallet';
  /** The pseudonym of the context in which the wallet asks. */
  did: Did;
  holder: 'patient' | 'delegate';
  keyName: string;
  tokenId: string;
  expiresMs: number;
}

/** Who asks. Knowing this permits nothing yet: the consent gate decides. */
export type Requester = MemberRequester | WalletRequester;

const subjectPattern = /^(practitioner|patient):([A-Za-z0-9][A-Za-z0-9.:_~-]{0,127})$/;

/** `system`, `practitioner:ID`, `patient:ID`; undefined for anything else. */
export function parseSubject(text: string): Subject | undefined {
  if (text === 'system') return { kind: 'system' };
  const match = subjectPattern.exec(text);
  if (match === null) return undefined;
  return { kind: match[1] === 'patient' ? 'patient' : 'practitioner', id: match[2] ?? '' };
}

export function subjectText(subject: Subject): string {
  return subject.kind === 'system' ? 'system' : `${subject.kind}:${subject.id}`;
}
