import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addSignature,
  type Did,
  type EcPrivateJwk,
  isDid,
  type Message,
  type Signer,
  signerFromJwk,
  signTransaction,
} from '@salus/protocol';
import { FileKeyProvider, type OrganisationKeyProvider } from '@salus/vault';
import type { JWK } from 'jose';
import { createMemberToken, type TokenInput } from '../auth/token.ts';
import { NoticeBoard } from '../events/notices.ts';
import { RuleFault } from '../http/problems.ts';
import { type DataDirectory, makeDirectory, organizationPath, writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { CommittedResult, LedgerAccess } from '../node/ledger-access.ts';
import { openStore, type StoreInput, type StoreLocation } from '../store/location.ts';
import { organizationMigrations } from '../store/migrations.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { currentKey, type KeyPurpose, keyPurposes, kidOf, loadKeys, publicPart, type StoredKey } from './keys.ts';

/** How long a transaction that a node signs can be taken; the network allows ten minutes. */
export const validForMsDefault = 300_000;

/** What genesis and the ledger say of a member. */
export interface MemberProfile {
  did: Did;
  slug: string;
  name: string;
  role: string;
}

export interface OrganizationPaths {
  root: string;
  keys: string;
  vault: string;
  store: string;
  log: string;
}

export function organizationPaths(dataRoot: string, slug: string): OrganizationPaths {
  const root = organizationPath(dataRoot, slug);
  return {
    root,
    keys: join(root, 'keys'),
    vault: join(root, 'vault'),
    store: join(root, 'node.sqlite'),
    log: join(root, 'log'),
  };
}

/** The key file of the vault stands among the organisation's other keys, outside of what backups take. */
export function vaultKeyProvider(paths: OrganizationPaths): OrganisationKeyProvider {
  return new FileKeyProvider(join(paths.keys, 'vault.json'));
}

/** An organisation's keys without anything running: enough to make tokens and to sign. */
export class OrganizationKeys {
  readonly profile: MemberProfile;
  #all: readonly StoredKey[];

  constructor(profile: MemberProfile, all: readonly StoredKey[]) {
    this.profile = profile;
    this.#all = all;
  }

  get all(): readonly StoredKey[] {
    return this.#all;
  }

  /** Uses these from now on. Throws, and goes on with the former ones, where a purpose would be without a key. */
  replace(all: readonly StoredKey[]): void {
    for (const purpose of keyPurposes) currentKey(all, purpose);
    this.#all = all;
  }

  signer(): Signer {
    const key = currentKey(this.all, 'sign');
    return signerFromJwk(kidOf(this.profile.did, key), key.privateJwk as EcPrivateJwk);
  }

  /** Public and private half of the key that opens what is sealed to this organisation. */
  encryption(): { kid: string; publicJwk: JWK; privateJwk: JWK } {
    const key = currentKey(this.all, 'encrypt');
    return { kid: kidOf(this.profile.did, key), publicJwk: publicPart(key.privateJwk), privateJwk: key.privateJwk };
  }

  /** Everything that may open what was sealed to this organisation, the newest first: sealing outlasts a rotation. */
  opening(): JWK[] {
    const usable = this.all.filter(({ purpose, state }) => purpose === 'encrypt' && state !== 'pending');
    return usable.sort((a, b) => b.createdMs - a.createdMs).map(({ privateJwk }) => privateJwk);
  }

  async token(input: Omit<TokenInput, 'kid' | 'privateJwk' | 'organization'>): Promise<string> {
    const key = currentKey(this.all, 'authenticate');
    const { did } = this.profile;
    return await createMemberToken({ ...input, kid: kidOf(did, key), privateJwk: key.privateJwk, organization: did });
  }
}

export interface SubmitOptions {
  validForMs?: number;
  /** Others who sign the same transaction, after the organisation. */
  cosigners?: readonly Signer[];
}

/** The ledger on which an organisation signs, and the clock that its signatures' life is measured by. */
export interface Network {
  chain: string;
  ledger: LedgerAccess;
  clockMs(): number;
}

/** Where the rows of one organisation are. */
export function organizationStore(
  { did, slug }: MemberProfile,
  { store: file }: OrganizationPaths,
  chain: string,
  location: StoreLocation,
): StoreInput {
  return { location, file, name: slug, owner: `${chain} ${did}`, migrations: organizationMigrations };
}

/** The store of one organisation. Throws as `openStore` does. */
export async function openOrganizationStore(
  profile: MemberProfile,
  paths: OrganizationPaths,
  chain: string,
  location: StoreLocation,
): Promise<OrganizationStore> {
  return await openStore<OrganizationTables>(organizationStore(profile, paths, chain, location));
}

/** One organisation that this node serves: keys, store, vault place and its way onto the ledger. */
export class Organization {
  readonly profile: MemberProfile;
  readonly keys: OrganizationKeys;
  readonly paths: OrganizationPaths;
  readonly vaultKeys: OrganisationKeyProvider;
  readonly store: OrganizationStore;
  readonly notices: NoticeBoard;
  readonly #network: Network;
  #signer: Signer;

  private constructor(profile: MemberProfile, paths: OrganizationPaths, network: Network, store: OrganizationStore) {
    this.profile = profile;
    this.paths = paths;
    this.keys = new OrganizationKeys(profile, loadKeys(paths.keys));
    this.vaultKeys = vaultKeyProvider(paths);
    this.store = store;
    this.notices = new NoticeBoard(store);
    this.#network = network;
    this.#signer = this.keys.signer();
  }

  static async open(
    profile: MemberProfile,
    paths: OrganizationPaths,
    network: Network,
    location: StoreLocation,
  ): Promise<Organization> {
    makeDirectory(paths.vault);
    makeDirectory(paths.log);
    const store = await openOrganizationStore(profile, paths, network.chain, location);
    try {
      return new Organization(profile, paths, network, store);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** The bytes of a transaction with these messages, signed by the organisation and, after it, by the cosigners. */
  async sign(messages: Message[], options: SubmitOptions = {}): Promise<Uint8Array> {
    const validForMs = options.validForMs ?? validForMsDefault;
    // Block time decides validity and stands still between blocks: the later clock leaves the longer life.
    const { chain, ledger, clockMs } = this.#network;
    const validUntil = Math.max(clockMs(), ledger.head().timeMs) + validForMs;
    let bytes = await signTransaction({ chain, messages, signers: [this.#signer], validUntil });
    for (const cosigner of options.cosigners ?? []) bytes = await addSignature(bytes, cosigner);
    return bytes;
  }

  /** Signs, submits, and answers when the transaction is durable, whatever its result code. */
  async submit(messages: Message[], options: SubmitOptions = {}): Promise<CommittedResult> {
    return await this.#network.ledger.submit(await this.sign(messages, options));
  }

  /** As `submit`, and throws a RuleFault with the code of a transaction that was rejected. */
  async execute(messages: Message[], options: SubmitOptions = {}): Promise<CommittedResult> {
    const committed = await this.submit(messages, options);
    if (committed.code === 0) return committed;
    const { code, log, hash, height, index } = committed;
    throw new RuleFault(code, { detail: log, transaction: { hash, height, index } });
  }

  /** Takes the keys of the directory as they are now; gives the names of those in use. */
  reloadKeys(): Record<KeyPurpose, string> {
    this.keys.replace(loadKeys(this.paths.keys));
    this.#signer = this.keys.signer();
    const name = (purpose: KeyPurpose): string => currentKey(this.keys.all, purpose).name;
    return { sign: name('sign'), authenticate: name('authenticate'), encrypt: name('encrypt') };
  }

  async close(): Promise<void> {
    await this.store.close();
  }
}

function isMember(value: unknown): value is MemberProfile {
  if (typeof value !== 'object' || value === null) return false;
  const { did, slug, name, role } = value as Record<string, unknown>;
  return isDid(did) && [slug, name, role].every((text) => typeof text === 'string');
}

/** Members as the genesis document names them. Throws for a document that names none. */
export function genesisMembers(genesis: unknown): MemberProfile[] {
  const members = typeof genesis === 'object' && genesis !== null && 'members' in genesis ? genesis.members : undefined;
  if (!Array.isArray(members) || !members.every(isMember)) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
  return members.map(({ did, slug, name, role }) => ({ did, slug, name, role }));
}

function profilePath(dataRoot: string, slug: string): string {
  return join(organizationPath(dataRoot, slug), 'profile.json');
}

/** For an organisation that became a member after genesis, which cannot name it. */
export function saveProfile(dataRoot: string, profile: MemberProfile): void {
  writeFileDurably(profilePath(dataRoot, profile.slug), `${JSON.stringify(profile, null, 2)}\n`);
}

/** Members as genesis names them, and those of this directory that came later. */
export function directoryMembers(dataRoot: string, slugs: readonly string[], genesis: unknown): MemberProfile[] {
  const named = genesisMembers(genesis);
  const isNamed = (slug: string): boolean => named.some((member) => member.slug === slug);
  const later = slugs
    .filter((slug) => !isNamed(slug) && existsSync(profilePath(dataRoot, slug)))
    .flatMap((slug) => {
      try {
        return genesisMembers({ members: [JSON.parse(readFileSync(profilePath(dataRoot, slug), 'utf8'))] });
      } catch (cause) {
        throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
      }
    });
  return [...named, ...later];
}

/** The same of an open directory. */
export function membersOf({ root, manifest, genesis }: DataDirectory): MemberProfile[] {
  return directoryMembers(root, manifest.organizations, genesis());
}
