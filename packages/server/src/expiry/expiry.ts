import type { Expiring } from '@salus/api';
import { governance, identity, type StateReader } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { keyPurposes } from '../orgs/keys.ts';

const dayMs = 86_400_000;
/** Long enough for the committee of a hospital to meet, and for a certificate authority to answer. */
export const expiryWarningMs = 30 * dayMs;
/** Somebody has to act this week. */
export const expiryCriticalMs = 7 * dayMs;

type ExpiryLevel = Expiring['level'];

/** What ends, and when; `level` follows from the time that is left. */
export type Expiry = Omit<Expiring, 'level'>;

/** Undefined while there is time. */
export function expiryLevel(expiresMs: number, nowMs: number): ExpiryLevel | undefined {
  const leftMs = expiresMs - nowMs;
  if (leftMs <= 0) return 'expired';
  if (leftMs <= expiryCriticalMs) return 'critical';
  return leftMs <= expiryWarningMs ? 'warning' : undefined;
}

/** Those that end soon or have ended, the first to end first. */
export function expiringOf(expiries: readonly Expiry[], nowMs: number): Expiring[] {
  return expiries
    .flatMap((expiry) => {
      const level = expiryLevel(expiry.expiresMs, nowMs);
      return level === undefined ? [] : [{ ...expiry, level }];
    })
    .sort((a, b) => a.expiresMs - b.expiresMs);
}

export type KeyHolder = { slug: string; did: Did };

/**
 * When the last key of a purpose ends, for each purpose that a participant has keys for: a key that ends while another
 * one goes on is a rotation, and nobody has to act. A key that was revoked counts no more.
 */
function keyExpiriesOf(reader: StateReader, { slug, did }: KeyHolder): Expiry[] {
  const keys = identity.keysOf(reader, did).filter(({ revokedMs }) => revokedMs === undefined);
  return keyPurposes.flatMap((purpose) => {
    const ofPurpose = keys.filter((key) => key.purpose === purpose);
    const [last] = ofPurpose.sort((a, b) => (b.expiresMs ?? Infinity) - (a.expiresMs ?? Infinity));
    if (last?.expiresMs === undefined) return [];
    return [{ kind: 'key' as const, organization: slug, purpose, name: last.name, expiresMs: last.expiresMs }];
  });
}

/** Organisations whose keys count: all members of the network, and those that this node serves. */
function holders(reader: StateReader, served: readonly KeyHolder[]): KeyHolder[] {
  const found = new Map<string, KeyHolder>(served.map((one) => [one.did, one]));
  for (const did of governance.members(reader)) {
    const organisation = identity.organisation(reader, did);
    if (organisation && !found.has(did)) found.set(did, { slug: organisation.slug, did });
  }
  return [...found.values()].filter(({ did }) => identity.isActiveOrganisation(reader, did));
}

/** Of the keys that are registered on the ledger with an end of their validity. */
export function keyExpiries(reader: StateReader, served: readonly KeyHolder[]): Expiry[] {
  return holders(reader, served).flatMap((holder) => keyExpiriesOf(reader, holder));
}

/** For people: what ends and when. */
export function expiryText({ kind, organization, purpose, name, expiresMs, level }: Expiring): string {
  const what = kind === 'key' ? `${organization}: the ${purpose} key ${name}` : `the certificate ${name}`;
  const verb = level === 'expired' ? 'ended' : 'ends';
  return `${what} ${verb} on ${new Date(expiresMs).toISOString()}`;
}
