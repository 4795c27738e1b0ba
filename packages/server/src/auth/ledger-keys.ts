import { identity, iterableReader, type StateReader } from '@salus/contracts';
import { type Did, parseKid } from '@salus/protocol';
import type { LedgerAccess } from '../node/ledger-access.ts';
import type { KeyDirectory } from './key-directory.ts';

interface Named {
  did: Did;
  keyName: string;
}

function parse(kid: string): Named | undefined {
  try {
    return parseKid(kid);
  } catch {
    // Whatever is no key id names no key.
    return undefined;
  }
}

function activeKey(reader: StateReader, { did, keyName }: Named, purpose: string, suite: string, nowMs: number) {
  const entry = identity.key(reader, did, keyName);
  const isUsable = entry?.purpose === purpose && entry.suite === suite && identity.isKeyActive(entry, nowMs);
  return isUsable ? entry.jwk : undefined;
}

/** Keys by what the identity contract says at the latest block. */
export function ledgerKeyDirectory(ledger: LedgerAccess): KeyDirectory {
  const reader = iterableReader(ledger);
  const nowMs = (): number => Math.max(Date.now(), ledger.head().timeMs);
  return {
    memberKey(kid) {
      const named = parse(kid);
      const member = named && identity.organisation(reader, named.did);
      if (named === undefined || member?.status !== 'active') return undefined;
      const jwk = activeKey(reader, named, 'authenticate', 'ES384', nowMs());
      const { slug, name, role } = member;
      return jwk && { did: named.did, slug, name, role, jwk };
    },
    walletKey(kid) {
      const named = parse(kid);
      const holder = named && identity.participant(reader, named.did);
      if (named === undefined || holder?.status !== 'active') return undefined;
      if (holder.kind !== 'patient' && holder.kind !== 'delegate') return undefined;
      const jwk = activeKey(reader, named, 'sign', 'ES256', nowMs());
      return jwk && { ...named, holder: holder.kind, jwk };
    },
  };
}
