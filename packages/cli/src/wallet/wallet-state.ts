import type { Did, EcPrivateJwk, EcPublicJwk, Message } from '@salus/protocol';

/** One relationship of the patient; nothing in it is known to another custodian. */
export interface WalletContext {
  /** Address of the node that serves the custodian. */
  url: string;
  chain: string;
  /** `sealingKey` was proven by the ledger when the wallet was linked. */
  custodian: { did: Did; slug: string; name: string; sealingKey: EcPublicJwk };
  /** The wallet's pinned beginning of trust (`salus-anchor/1`). */
  anchor: string;
  /** Height of the latest state that was proven to this wallet. */
  seenHeight?: number;
  /** The patient's pseudonym there. */
  did: Did;
  /** Name of the signing key in key ids. */
  keyName: string;
  linkedMs: number;
  /** For the day the root is lost: its commitment was registered with a patient's keys. Belongs into the backup. */
  recovery?: EcPrivateJwk;
  /** The holder of the wallet acts for patients there; keys and name are others than those they have as a patient. */
  role?: 'delegate';
}

/** An authority that the patient gave to somebody who acts for them. */
export interface GivenAuthority {
  id: string;
  custodian: Did;
  holder: Did;
  givenMs: number;
  content: { [name: string]: unknown };
  endedMs?: number;
}

/** A directive that the patient gave, as it was signed. */
export interface GivenDirective {
  id: string;
  custodian: Did;
  givenMs: number;
  content: { [name: string]: unknown };
  revokedMs?: number;
}

/** A signed-later decision: made now, sent at a random time, so that several contexts do not act together. */
export interface Scheduled {
  dueMs: number;
  custodian: Did;
  content: { [name: string]: unknown };
}

/** What becomes true in the wallet once a transaction is on the ledger. */
export type Effect =
  | { kind: 'directive'; directive: GivenDirective }
  | { kind: 'revocation'; directives: string[]; timeMs: number }
  | { kind: 'authority'; authority: GivenAuthority }
  | { kind: 'authorityEnd'; id: string; timeMs: number }
  | { kind: 'none' };

/**
 * A signed transaction that is on its way. It is kept before the first byte of it leaves, and sent again as the same bytes
 * until the node said what became of it: so nothing is decided twice, and nothing is forgotten.
 */
export interface Unsent {
  custodian: Did;
  /** Who signs, where the wallet has two names at the custodian. */
  signer?: Did;
  /** The signed bytes as text (JWS JSON); the ledger knows the same bytes again. */
  transaction: string;
  hash: string;
  validUntilMs: number;
  messages: Message[];
  effect: Effect;
}

/** A link that was signed, and of which the wallet does not know yet whether the custodian took it. */
export interface Linking {
  code: string;
  transaction: string;
  context: WalletContext;
}

export interface WalletState {
  format: 'salus-wallet-state/1';
  createdMs: number;
  /** base64url of the root secret, from which every context's keys derive. */
  root: string;
  contexts: WalletContext[];
  directives: GivenDirective[];
  scheduled: Scheduled[];
  unsent: Unsent[];
  linking?: Linking;
  /** Where the holder of the wallet acts for patients. */
  delegations: WalletContext[];
  authorities: GivenAuthority[];
}

export function emptyState(root: string, nowMs: number): WalletState {
  return {
    format: 'salus-wallet-state/1',
    createdMs: nowMs,
    root,
    contexts: [],
    directives: [],
    scheduled: [],
    unsent: [],
    delegations: [],
    authorities: [],
  };
}
