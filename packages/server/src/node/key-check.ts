import { createECDH } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { identity, type StateReader } from '@salus/contracts';
import { didOfKey, type EcPublicJwk, ed25519PublicKey, fromBase64url, toBase64url } from '@salus/protocol';
import { currentKey, keyPurposes, keySuites, loadKeys, publicPart, type StoredKey } from '../orgs/keys.ts';
import { type MemberProfile, organizationPaths } from '../orgs/organization.ts';
import { readHandover, validatorKeyPath } from './data-directory.ts';
import { isRetiredKey } from './embedded-ledger.ts';
import { NodeErrorCodes, NodeFault } from './errors.ts';

const othersMayRead = 0o077;
const coordinateBytes = { 'P-256': 32, 'P-384': 48 } as const;
const curveNames = { 'P-256': 'prime256v1', 'P-384': 'secp384r1' } as const;

function isExposed(file: string): boolean {
  return (statSync(file).mode & othersMayRead) !== 0;
}

/** Coordinates of the public key that belongs to a private one, as a JWK has them (RFC 7518, 6.2). */
function publicCoordinates(crv: 'P-256' | 'P-384', d: string): { x: string; y: string } {
  const pair = createECDH(curveNames[crv]);
  pair.setPrivateKey(fromBase64url(d));
  const point = pair.getPublicKey();
  const length = coordinateBytes[crv];
  return { x: toBase64url(point.subarray(1, 1 + length)), y: toBase64url(point.subarray(1 + length)) };
}

/** Whether the two halves of a key file belong together and to the suite of their purpose. */
function isKeyPair({ purpose, suite, privateJwk }: StoredKey): boolean {
  const expected = keySuites[purpose];
  const { kty, crv, x, y, d } = privateJwk;
  if (suite !== expected.suite || kty !== 'EC' || crv !== expected.crv || typeof d !== 'string') return false;
  try {
    const known = publicCoordinates(expected.crv, d);
    return known.x === x && known.y === y;
  } catch {
    return false;
  }
}

/** Whether the ledger has this key under its name; a revoked one counts, its file says so in another way. */
function isRegistered(state: StateReader, member: MemberProfile, key: StoredKey): boolean {
  const entry = identity.getKey(state, member.did, key.name);
  const { crv, x, y } = publicPart(key.privateJwk);
  const jwk = entry?.jwk;
  return entry?.purpose === key.purpose && jwk?.crv === crv && jwk.x === x && jwk.y === y;
}

/** What is wrong with an organisation's key files; `state` is left out where the ledger cannot be read. */
export function keyProblems(root: string, member: MemberProfile, state: StateReader | undefined): string[] {
  const { slug, did } = member;
  const { keys: keysDirectory } = organizationPaths(root, slug);
  const problems: string[] = [];
  const keys = loadKeys(keysDirectory);
  for (const purpose of keyPurposes) currentKey(keys, purpose);
  for (const key of keys) {
    const say = (what: string): number => problems.push(`${slug}: key ${key.name} ${what}`);
    if (!isKeyPair(key)) say('is damaged: its halves do not belong together');
    else if (key.name === 'sign-1' && didOfKey(publicPart(key.privateJwk) as EcPublicJwk) !== did) {
      say('is not the one that the genesis document names');
    } else if (state && key.state !== 'pending' && !isRegistered(state, member, key)) {
      say('is not the one that the ledger has under this name');
    }
    if (isExposed(join(keysDirectory, `${key.name}.json`))) say('can be read by others on this machine');
  }
  return problems;
}

/** What is wrong with the file of the validator's key; that it is the chain's, the ledger checks when it opens. */
export function validatorKeyProblems(root: string): string[] {
  const path = validatorKeyPath(root);
  let key: Record<string, unknown>;
  try {
    key = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.keyFileDamaged, 'keys/validator.json.', { cause });
  }
  const problems: string[] = [];
  const { format, kty, crv, x, d } = key;
  const isRetired = isRetiredKey(key) && readHandover(root) !== undefined;
  const isOfForm = format === 'salus-validator-key/1' && kty === 'OKP' && crv === 'Ed25519' && typeof d === 'string';
  if (!isRetired && (!isOfForm || toBase64url(ed25519PublicKey(fromBase64url(d))) !== x)) {
    problems.push('validator key: it is damaged: its halves do not belong together');
  }
  if (isExposed(path)) problems.push('validator key: others on this machine can read it');
  return problems;
}
