import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyDirectory } from '../auth/key-directory.ts';
import { createLog } from '../http/log.ts';
import { createSandbox, type SandboxOptions } from '../node/sandbox.ts';
import { type NodeOptions, type RunningNode, startNode } from '../node/start-node.ts';
import { readOrganization } from '../orgs/offline-keys.ts';
import type { OrganizationKeys } from '../orgs/organization.ts';
import { newStorePlace, type StoreLocation, sqliteLocation } from '../store/location.ts';
import { MemoryLedger } from './memory-ledger.ts';

export interface TestNode {
  node: RunningNode;
  ledger: MemoryLedger;
  chain: string;
  dataDir: string;
  keysOf(slug: string): OrganizationKeys;
  logLines: string[];
  keys: { current: KeyDirectory };
  stop(): Promise<void>;
}

/** A directory that is removed afterwards. */
export function temporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'salus-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Where the stores of a test are: SQLite, or new schemas of the PostgreSQL database that SALUS_TEST_STORE names. */
export function testStores(): StoreLocation {
  const url = process.env.SALUS_TEST_STORE;
  return url === undefined ? sqliteLocation : { ...newStorePlace(), url };
}

/** The same for a sandbox's directory, and for the node on it. */
export function sandboxStores(location: StoreLocation): Pick<SandboxOptions, 'store'> {
  if (location.kind === 'sqlite') return {};
  const { kind, prefix } = location;
  return { store: { kind, prefix } };
}

export function nodeStores(location: StoreLocation): Pick<NodeOptions, 'storeUrl'> {
  return location.kind === 'sqlite' ? {} : { storeUrl: location.url };
}

function keysOfGenesis(dataDir: string): KeyDirectory {
  return {
    memberKey(kid) {
      for (const slug of ['hospital', 'clinic', 'payer', 'regulator']) {
        const { keys } = readOrganization(dataDir, slug);
        const found = keys.all.find(
          (key) => key.purpose === 'authenticate' && `${keys.profile.did}#${key.name}` === kid,
        );
        if (found !== undefined) {
          const { kty, crv, x, y } = found.privateJwk;
          return { ...keys.profile, jwk: { kty, crv, x, y } };
        }
      }
      return undefined;
    },
    walletKey: () => undefined,
  };
}

/** A node with a ledger in memory on a free loopback port; every answer is held against its schema. */
export async function startTestNode(options: Partial<NodeOptions> = {}): Promise<TestNode> {
  const directory = temporaryDirectory();
  const dataDir = join(directory.path, 'node');
  const stores = testStores();
  const chain = await createSandbox(dataDir, sandboxStores(stores));
  const ledger = new MemoryLedger(chain);
  const logLines: string[] = [];
  const log = createLog('info', { write: (line) => void logLines.push(line) });
  const keys = { current: keysOfGenesis(dataDir) };
  const node = await startNode({
    dataDir,
    port: 0,
    ...nodeStores(stores),
    checkResponses: true,
    log,
    openLedger: async () => ledger,
    keys: () => ({
      memberKey: (kid) => keys.current.memberKey(kid),
      walletKey: (kid) => keys.current.walletKey(kid),
    }),
    parts: [],
    ...options,
  });
  const stop = async (): Promise<void> => {
    await node.stop();
    directory.remove();
  };
  return { node, ledger, chain, dataDir, keysOf: (slug) => readOrganization(dataDir, slug).keys, logLines, keys, stop };
}
