import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  type GenesisDocument,
  type GenesisMember,
  genesisFormat,
  governance,
  type MemberClass,
} from '@salus/contracts';
import { didOfKey, type EcPublicJwk, type JsonValue } from '@salus/protocol';
import { generateKey, keyPurposes, keySpec, publicPart, saveKey } from '../orgs/keys.ts';
import { organizationPaths, vaultKeyProvider } from '../orgs/organization.ts';
import type { StorePlace } from '../store/location.ts';
import {
  finishDirectory,
  inspectDirectory,
  lockDirectory,
  makeDirectory,
  validatorKeyPath,
  writeFileDurably,
} from './data-directory.ts';
import { NodeErrorCodes, NodeFault } from './errors.ts';

/** The name says it: every signature covers the chain, so a sandbox can never pass for a real network. */
export const sandboxPrefix = 'sandbox-';
const vaultEpochFirst = 1;

const sandboxVotingMs = 60_000;
const sandboxNoticeBlocks = 2;

/** Whoever tries something out cannot wait for days until votes are counted. */
export const sandboxVotingRules: NonNullable<GenesisDocument['votingRules']> = Object.fromEntries(
  governance.changeKinds.map((kind) => [kind, { votingMs: sandboxVotingMs, noticeBlocks: sandboxNoticeBlocks }]),
);

export function isSandboxChain(chain: string): boolean {
  return chain.startsWith(sandboxPrefix);
}

export interface SandboxMember {
  slug: string;
  name: string;
  role: string;
  class: MemberClass;
}

/** A consortium with one member of each kind that the main job needs. */
export const sandboxMembers: readonly SandboxMember[] = [
  { slug: 'hospital', name: 'Riverside General Hospital', role: 'hospital', class: 'provider' },
  { slug: 'clinic', name: 'Hillside Family Clinic', role: 'clinic', class: 'provider' },
  { slug: 'payer', name: 'Commonwealth Health Plan', role: 'payer', class: 'payer' },
  { slug: 'regulator', name: 'State Department of Health', role: 'regulator', class: 'regulator' },
];

export const sandboxSlugs: readonly string[] = sandboxMembers.map((member) => member.slug);

export interface SandboxOptions {
  /** Which members this node creates and serves; all by default. */
  slugs?: readonly string[];
  /** More members than the four, for tests and simulations. */
  extra?: readonly SandboxMember[];
  endpoint?: string;
  /** Rules of voting instead of those of sandboxes. */
  votingRules?: GenesisDocument['votingRules'];
  nowMs?: number;
  /** Keeps the rows in PostgreSQL, not in SQLite files. */
  store?: StorePlace | undefined;
}

/** Keys and directories of an organisation in a node's data directory, and what genesis says of it. */
export async function createMember(dataRoot: string, member: SandboxMember, endpoint: string): Promise<GenesisMember> {
  const paths = organizationPaths(dataRoot, member.slug);
  const keys = await Promise.all(keyPurposes.map((purpose) => generateKey(purpose, { state: 'registered' })));
  for (const key of keys) saveKey(paths.keys, key);
  await vaultKeyProvider(paths).create(vaultEpochFirst);
  makeDirectory(paths.vault);
  makeDirectory(paths.log);
  const signing = keys.find((key) => key.purpose === 'sign');
  if (signing === undefined) throw new NodeFault(NodeErrorCodes.keyFileMissing);
  const did = didOfKey(publicPart(signing.privateJwk) as EcPublicJwk);
  const { slug, name, role } = member;
  return { did, name, slug, role, class: member.class, keys: keys.map(keySpec), endpoint };
}

/** A validator's key: Ed25519, as CometBFT's consensus demands, with a purpose of its own. Gives the public half. */
export function createValidatorKey(dataRoot: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { x, d } = privateKey.export({ format: 'jwk' });
  makeDirectory(join(validatorKeyPath(dataRoot), '..'));
  const key = { format: 'salus-validator-key/1', kty: 'OKP', crv: 'Ed25519', x, d };
  writeFileDurably(validatorKeyPath(dataRoot), `${JSON.stringify(key, null, 2)}\n`);
  return x ?? '';
}

function refuseUnlessEmpty(dataRoot: string): void {
  const kind = inspectDirectory(dataRoot);
  if (kind === 'unfinished') throw new NodeFault(NodeErrorCodes.dataDirectoryUnfinished);
  if (kind !== 'absent') throw new NodeFault(NodeErrorCodes.dataDirectoryAlien);
}

/**
 * Creates the data directory of a sandbox consortium: keys and a root for each organisation, a validator key, the genesis
 * document with all members. Refuses a directory that is not empty. Gives the chain.
 */
export async function createSandbox(dataRoot: string, options: SandboxOptions = {}): Promise<string> {
  refuseUnlessEmpty(dataRoot);
  const known = [...sandboxMembers, ...(options.extra ?? [])];
  const slugs = options.slugs ?? known.map((member) => member.slug);
  const members = slugs.map((slug) => known.find((member) => member.slug === slug));
  makeDirectory(dataRoot);
  const lock = lockDirectory(dataRoot);
  try {
    const created: GenesisMember[] = [];
    for (const member of members) {
      if (member === undefined) throw new NodeFault(NodeErrorCodes.inputInvalid, 'There is no such sandbox member.');
      created.push(await createMember(dataRoot, member, options.endpoint ?? ''));
    }
    const first = created[0];
    if (first === undefined) throw new NodeFault(NodeErrorCodes.inputInvalid, 'A sandbox needs a member.');
    const chain = `${sandboxPrefix}${randomBytes(6).toString('hex')}`;
    const genesis: GenesisDocument = {
      format: genesisFormat,
      chain,
      timeMs: options.nowMs ?? Date.now(),
      validators: [{ publicKey: createValidatorKey(dataRoot), power: 1, member: first.did }],
      members: created,
      parameters: {},
      votingRules: options.votingRules ?? sandboxVotingRules,
      ruleSets: [governance.jurisdictionUsa as unknown as JsonValue],
    };
    finishDirectory(
      dataRoot,
      { chain, organizations: [...slugs], ...(options.store && { store: options.store }) },
      genesis,
    );
    return chain;
  } finally {
    lock.release();
  }
}
