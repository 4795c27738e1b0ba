/**
 * Members of one sandbox network, each a real node of its own with its own directory, keys and port, on one embedded ledger
 * that all of them share. What goes from node to node goes over real connections.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { type GenesisDocument, genesisFormat, governance } from '@salus/contracts';
import type { JsonValue, Message } from '@salus/protocol';
import {
  accessDesks,
  createLog,
  createMember,
  createValidatorKey,
  finishDirectory,
  type LedgerAccess,
  makeDirectory,
  type OrganizationStore,
  openDirectory,
  openEmbeddedLedger,
  type RunningNode,
  recordsOf,
  sandboxMembers,
  startNode,
} from '@salus/server';
import { Authority } from '../../packages/cli/src/network/certificates.ts';
import { Patient, World } from '../scenarios/world.ts';

export const chain = 'sandbox-members';
const waitMsMax = 60_000;
const pollMs = 20;

/** Waits for a condition, with room for a machine that others load. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + waitMsMax;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await sleep(pollMs);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** The ledger without its end: a member that stops leaves it to the others. Blocks before `blocksFrom` are not at hand. */
function shared(ledger: LedgerAccess, blocksFrom = 1): LedgerAccess {
  const methods = {
    close: async (): Promise<void> => undefined,
    blockEvents: async (height: number) => (height < blocksFrom ? undefined : await ledger.blockEvents(height)),
  };
  return new Proxy(ledger, {
    get(target, name) {
      if (name in methods) return methods[name as keyof typeof methods];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

export class Member {
  readonly slug: string;
  readonly dataDir: string;
  readonly logLines: string[] = [];
  readonly #ledger: LedgerAccess;
  readonly #tls: { certificate: string; key: string };
  readonly #ca: string;
  port: number;
  #node: RunningNode | undefined;

  constructor(slug: string, dataDir: string, port: number, ledger: LedgerAccess, authority: Authority) {
    this.slug = slug;
    this.dataDir = dataDir;
    this.port = port;
    this.#ledger = ledger;
    this.#tls = authority.certify(slug, '127.0.0.1', Date.now());
    this.#ca = authority.certificate;
  }

  get node(): RunningNode {
    if (this.#node === undefined) throw new Error(`${this.slug} does not run`);
    return this.#node;
  }

  /**
   * `clockAheadMs`: how wrong the clock of its machine is. `blocksFrom`: its ledger began with a snapshot before this
   * block.
   */
  async start({ clockAheadMs = 0, blocksFrom = 1 } = {}): Promise<void> {
    this.#node = await startNode({
      dataDir: this.dataDir,
      port: this.port,
      checkResponses: true,
      log: createLog('debug', { write: (line) => void this.logLines.push(line) }),
      openLedger: async () => shared(this.#ledger, blocksFrom),
      clockMs: () => Date.now() + clockAheadMs,
      tls: this.#tls,
      peers: { ca: this.#ca },
    });
  }

  async stop(): Promise<void> {
    await this.#node?.stop();
    this.#node = undefined;
  }

  /** The same surroundings as the scenarios have, at this member. */
  world(): World {
    const member = this;
    const like = {
      get node() {
        return member.node;
      },
      get nowMs() {
        return Date.now();
      },
      org: World.prototype.org,
      records: World.prototype.records,
      http: World.prototype.http,
      seal: World.prototype.seal,
      token: World.prototype.token,
      staff: World.prototype.staff,
      patient: World.prototype.patient,
    };
    return like as unknown as World;
  }

  /** Signs and commits in the organisation's name. */
  async execute(message: Message): Promise<void> {
    const organization = this.node.organizations.get(this.slug);
    if (organization === undefined) throw new Error('no organisation');
    await organization.execute([message]);
  }

  store(): OrganizationStore {
    const organization = this.node.organizations.get(this.slug);
    if (organization === undefined) throw new Error('no organisation');
    return organization.store;
  }

  desk() {
    const desk = accessDesks(this.node).get(this.slug);
    if (desk === undefined) throw new Error('no desk');
    return desk;
  }

  records() {
    const records = recordsOf(this.node).get(this.slug);
    if (records === undefined) throw new Error('no records');
    return records;
  }
}

export class Members {
  readonly authority: Authority;
  readonly #root: string;
  readonly #ledger: LedgerAccess;
  readonly #members: Member[];

  private constructor(root: string, ledger: LedgerAccess, members: Member[], authority: Authority) {
    this.#root = root;
    this.#ledger = ledger;
    this.#members = members;
    this.authority = authority;
  }

  static async create(): Promise<Members> {
    const root = mkdtempSync(join(tmpdir(), 'salus-members-'));
    const authority = Authority.create('Members of a test', Date.now());
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.certificate]);
    const plans = [];
    for (const plan of sandboxMembers) {
      const port = await freePort();
      const dataDir = join(root, plan.slug);
      makeDirectory(dataDir);
      plans.push({ plan, port, dataDir, member: await createMember(dataDir, plan, `https://127.0.0.1:${port}`) });
    }
    const home = join(root, 'chain');
    makeDirectory(home);
    const genesis: GenesisDocument = {
      format: genesisFormat,
      chain,
      timeMs: Date.now(),
      validators: [{ publicKey: createValidatorKey(home), power: 1, member: plans[0]!.member.did }],
      members: plans.map(({ member }) => member),
      parameters: {},
      ruleSets: [governance.jurisdictionUsa as unknown as JsonValue],
    };
    for (const { dataDir, plan } of plans) finishDirectory(dataDir, { chain, organizations: [plan.slug] }, genesis);
    finishDirectory(home, { chain, organizations: [] }, genesis);
    const ledger = await openEmbeddedLedger(openDirectory(home));
    const members = plans.map(({ plan, dataDir, port }) => new Member(plan.slug, dataDir, port, ledger, authority));
    for (const member of members) await member.start();
    return new Members(root, ledger, members, authority);
  }

  /** Where the ledger is that all of them share. */
  get chainDir(): string {
    return join(this.#root, 'chain');
  }

  get(slug: string): Member {
    const found = this.#members.find((member) => member.slug === slug);
    if (found === undefined) throw new Error(`no member ${slug}`);
    return found;
  }

  async close(): Promise<void> {
    for (const member of this.#members) await member.stop();
    await this.#ledger.close();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

export { Patient };
