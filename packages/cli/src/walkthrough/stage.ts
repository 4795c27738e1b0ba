import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { createSandbox, NodeErrorCodes, NodeFault, newStorePlace, openDirectory } from '@salus/server';
import { databaseVariable, usageFault } from '../cli.ts';
import { type Custodian, custodians } from './people.ts';
import { NodeProcess } from './processes.ts';
import { withoutDirectory } from './receipts.ts';

/** Sandbox members beyond the usual four, so that a record can lie at four custodians. */
const extraMembers = [
  { slug: 'practice', name: 'Maple Street Practice', role: 'clinic', class: 'provider' as const },
  { slug: 'specialist', name: 'Lakeside Cardiology', role: 'clinic', class: 'provider' as const },
];
const ownerOnly = 0o600;

/** Where a walkthrough plays: a node, and a place for wallets that the node cannot see. */
export interface Stage {
  /** A node of the walkthrough's own, which it may stop. */
  readonly isOwn: boolean;
  /** Each organisation has a node of its own. */
  readonly isNetwork: boolean;
  /** Those of the custodians that are served here. */
  readonly custodians: readonly Custodian[];
  /** What the processes of wallets have in their environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** The data directory of an organisation's node: its keys make the tokens of its people. */
  dataDirOf(slug: string): string;
  urlOf(slug: string): string;
  /** Where somebody of `asking` reads what lies at `custodian`. */
  fhirBase(asking: string, custodian: string): string;
  /** Makes everything ready; says in words what is there. */
  open(): Promise<string>;
  /** Resolves when every node knows what any of them knows now. */
  settle(): Promise<void>;
  /** Directory of a new wallet; `passphrase` is kept beside it where the run is kept. */
  wallet(name: string, passphrase: string): string;
  /** Runs `work` where nothing of the node can help. */
  withoutNode<T>(work: () => T | Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function walletIn(root: string, name: string): string {
  mkdirSync(join(root, 'wallets'), { recursive: true, mode: 0o700 });
  return join(root, 'wallets', name);
}

/** A sandbox of its own; in `keep` it stays for looking at, else nothing of it does. */
export class OwnStage implements Stage {
  readonly isOwn = true;
  readonly isNetwork = false;
  readonly custodians = custodians;
  readonly environment = {};
  readonly #dataDir: string;
  readonly #root: string;
  readonly #isKept: boolean;
  #node: NodeProcess | undefined;

  constructor(keep: string | undefined) {
    if (keep !== undefined && existsSync(keep) && readdirSync(keep).length > 0) {
      throw new NodeFault(NodeErrorCodes.backupTargetTaken);
    }
    this.#isKept = keep !== undefined;
    this.#root = keep ?? mkdtempSync(join(tmpdir(), 'salus-walkthrough-'));
    this.#dataDir = join(this.#root, 'node');
  }

  dataDirOf(): string {
    return this.#dataDir;
  }

  urlOf(): string {
    if (this.#node === undefined) throw new Error('the node does not run');
    return this.#node.url;
  }

  fhirBase(_asking: string, custodian: string): string {
    return `${this.urlOf()}/org/${custodian}/fhir/R4`;
  }

  async settle(): Promise<void> {}

  async open(): Promise<string> {
    const store = process.env[databaseVariable] === undefined ? undefined : newStorePlace();
    await createSandbox(this.#dataDir, { extra: extraMembers, store });
    this.#node = await NodeProcess.start(this.#dataDir);
    return `node at ${this.urlOf()}`;
  }

  wallet(name: string, passphrase: string): string {
    const dir = walletIn(this.#root, name);
    if (this.#isKept) writeFileSync(`${dir}.passphrase`, `${passphrase}\n`, { mode: ownerOnly });
    return dir;
  }

  async withoutNode<T>(work: () => T | Promise<T>): Promise<T> {
    await this.#stop();
    return await withoutDirectory(this.#dataDir, work);
  }

  async #stop(): Promise<void> {
    await this.#node?.stop();
    this.#node = undefined;
  }

  async close(): Promise<void> {
    await this.#stop();
    if (!this.#isKept) rmSync(this.#root, { recursive: true, force: true });
  }
}

/** A node that runs already. It is neither stopped nor cleaned: what is played there stays in its ledger. */
export class RunningStage implements Stage {
  readonly isOwn = false;
  readonly isNetwork = false;
  readonly environment = {};
  readonly #url: string;
  readonly #dataDir: string;
  custodians: readonly Custodian[] = [];
  readonly #root = mkdtempSync(join(tmpdir(), 'salus-walkthrough-'));

  constructor(url: string, dataDir: string) {
    this.#url = url;
    this.#dataDir = dataDir;
  }

  dataDirOf(): string {
    return this.#dataDir;
  }

  urlOf(): string {
    return this.#url;
  }

  fhirBase(_asking: string, custodian: string): string {
    return `${this.#url}/org/${custodian}/fhir/R4`;
  }

  async settle(): Promise<void> {}

  async open(): Promise<string> {
    const { chain, sandbox, organizations } = await createClient({ baseUrl: this.#url }).status();
    if (!sandbox) throw usageFault('A walkthrough speaks for other people: it needs a sandbox network.');
    const { manifest } = openDirectory(this.#dataDir);
    if (manifest.chain !== chain) throw new NodeFault(NodeErrorCodes.dataDirectoryChain);
    const served = new Set(organizations.filter(({ hosted }) => hosted).map(({ slug }) => slug));
    this.custodians = custodians.filter((slug) => served.has(slug) && manifest.organizations.includes(slug));
    if (this.custodians.length < 2) throw usageFault('The node must serve a hospital and a clinic.');
    return `node at ${this.#url}, with ${this.custodians.join(' and ')}`;
  }

  wallet(name: string): string {
    return walletIn(this.#root, name);
  }

  async withoutNode<T>(work: () => T | Promise<T>): Promise<T> {
    return await work();
  }

  async close(): Promise<void> {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
