import type { Did } from '@salus/protocol';
import type { JWK } from 'jose';

export interface MemberKey {
  did: Did;
  slug: string;
  name: string;
  role: string;
  jwk: JWK;
}

export interface WalletKey {
  did: Did;
  keyName: string;
  holder: 'patient' | 'delegate';
  jwk: JWK;
}

/** Keys as the ledger knows them at its latest block: a rotated, revoked or expired key is simply not there. */
export interface KeyDirectory {
  /** The authentication key of an active member. */
  memberKey(kid: string): MemberKey | undefined;
  /** The signing key of a patient's context, or of somebody who acts for patients with a wallet of their own. */
  walletKey(kid: string): WalletKey | undefined;
}
