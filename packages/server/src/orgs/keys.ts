import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KeySpec } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { makeDirectory, writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';

const keyFormat = 'salus-key/1';

/** What a key is for; each has one purpose and one suite, as the ledger registers them. */
export const keySuites = {
  sign: { suite: 'ES256', alg: 'ES256', crv: 'P-256', file: 'sign' },
  authenticate: { suite: 'ES384', alg: 'ES384', crv: 'P-384', file: 'auth' },
  encrypt: { suite: 'HPKE-P256', alg: 'ECDH-ES', crv: 'P-256', file: 'encrypt' },
} as const;

export type KeyPurpose = keyof typeof keySuites;
export const keyPurposes = Object.keys(keySuites) as KeyPurpose[];
const keyFilePattern = /^(sign|auth|encrypt)-\d+\.json$/;

/** `pending` until the ledger has it, `ended` once it was revoked: neither signs or opens anything new. */
export type KeyState = 'pending' | 'registered' | 'ended';
const keyStates: readonly unknown[] = ['pending', 'registered', 'ended'];

export interface StoredKey {
  format: typeof keyFormat;
  /** Name in the key id: DID#name. */
  name: string;
  purpose: KeyPurpose;
  suite: string;
  createdMs: number;
  state: KeyState;
  privateJwk: JWK;
}

export function publicPart(jwk: JWK): { kty: string; crv: string; x: string; y: string } {
  const { kty, crv, x, y } = jwk;
  if (kty === undefined || crv === undefined || x === undefined || y === undefined) {
    throw new NodeFault(NodeErrorCodes.keyFileDamaged);
  }
  return { kty, crv, x, y };
}

/** A new key; its name is `sign-1`, `sign-2`, …, after the names that are taken. */
export async function generateKey(
  purpose: KeyPurpose,
  options: { taken?: readonly string[]; state?: KeyState; nowMs?: number } = {},
): Promise<StoredKey> {
  const { taken = [], state = 'pending', nowMs = Date.now() } = options;
  const { suite, alg, crv, file } = keySuites[purpose];
  const { privateKey } = await generateKeyPair(alg, { crv, extractable: true });
  const { kty, x, y, d } = await exportJWK(privateKey);
  let number = 1;
  while (taken.includes(`${file}-${number}`)) number += 1;
  const privateJwk = { kty, crv, x, y, d };
  return { format: keyFormat, name: `${file}-${number}`, purpose, suite, createdMs: nowMs, state, privateJwk };
}

function isStoredKey(value: unknown): value is StoredKey {
  if (typeof value !== 'object' || value === null) return false;
  const { format, name, purpose, state, privateJwk } = value as Record<string, unknown>;
  const isNamed = typeof name === 'string' && /^[a-z0-9-]{1,16}$/.test(name);
  const isKnown = typeof purpose === 'string' && Object.hasOwn(keySuites, purpose);
  return (
    format === keyFormat &&
    isNamed &&
    isKnown &&
    keyStates.includes(state) &&
    typeof privateJwk === 'object' &&
    privateJwk !== null
  );
}

/** Writes a key to `keys/NAME.json`, readable by its owner only; an existing file is never replaced. */
export function saveKey(keysDirectory: string, key: StoredKey): void {
  makeDirectory(keysDirectory);
  const path = join(keysDirectory, `${key.name}.json`);
  if (existsSync(path)) throw new NodeFault(NodeErrorCodes.inputInvalid, `There is a key ${key.name} already.`);
  writeFileDurably(path, `${JSON.stringify(key, null, 2)}\n`);
}

/** Notes what became of a key on the ledger. */
export function setKeyState(keysDirectory: string, key: StoredKey, state: KeyState): void {
  writeFileDurably(join(keysDirectory, `${key.name}.json`), `${JSON.stringify({ ...key, state }, null, 2)}\n`);
}

/** All keys of a directory, by name. The vault's own key file is the vault's business. */
export function loadKeys(keysDirectory: string): StoredKey[] {
  if (!existsSync(keysDirectory)) throw new NodeFault(NodeErrorCodes.keyFileMissing);
  const files = readdirSync(keysDirectory).filter((file) => keyFilePattern.test(file));
  return files.sort().map((file) => {
    let key: unknown;
    try {
      key = JSON.parse(readFileSync(join(keysDirectory, file), 'utf8'));
    } catch (cause) {
      throw new NodeFault(NodeErrorCodes.keyFileDamaged, `This one: ${file}.`, { cause });
    }
    if (!isStoredKey(key) || `${key.name}.json` !== file)
      throw new NodeFault(NodeErrorCodes.keyFileDamaged, `This one: ${file}.`);
    return key;
  });
}

/** The newest registered key of a purpose: the one to sign or open with. */
export function currentKey(keys: readonly StoredKey[], purpose: KeyPurpose): StoredKey {
  const number = (key: StoredKey): number => Number(key.name.split('-').at(-1));
  const usable = keys.filter((key) => key.purpose === purpose && key.state === 'registered');
  const found = usable.sort((a, b) => number(b) - number(a))[0];
  if (found === undefined) throw new NodeFault(NodeErrorCodes.keyFileMissing);
  return found;
}

/** A key's public half as the ledger registers it. */
export function keySpec(key: StoredKey): KeySpec {
  const { suite } = keySuites[key.purpose];
  // The contract's union ties purpose, suite and curve; `keySuites` is where they are tied here.
  return { name: key.name, purpose: key.purpose, suite, jwk: publicPart(key.privateJwk) } as KeySpec;
}

export function kidOf(did: Did, key: StoredKey): string {
  return `${did}#${key.name}`;
}
