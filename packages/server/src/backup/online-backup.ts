import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LogHead } from '@salus/vault';
import { exchangeStore } from '../access/exchange.ts';
import { ledgerPath, makeDirectory, openDirectory } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { NodeContext } from '../node/start-node.ts';
import { organizationPaths, organizationStore } from '../orgs/organization.ts';
import { recordsOf } from '../records/records-part.ts';
import { type CopiedTable, exchangeCopy, organizationCopy } from '../store/copy.ts';
import type { StoreInput } from '../store/location.ts';
import { exchangeFile, finishBackup, type PinnedDatabase, pinCopy, refuseTarget } from './backup.ts';
import type { BackupManifest } from './manifest.ts';

type BackedUp = Pick<NodeContext, 'chain' | 'dataRoot' | 'ledger' | 'organizations' | 'stores'>;

/** Everything that a moment consists of besides the ledger. */
class Moment {
  readonly #databases: { pinned: PinnedDatabase; to: string }[] = [];
  readonly #anchored = new Map<string, LogHead>();
  #releases: (() => void)[] = [];

  /**
   * Holds what the organisations write until `release`, so that their stores stay what they are pinned as until the ledger
   * and the logs are. The exchange last: it may hold an envelope too many, never one too few.
   */
  async hold(node: BackedUp, target: string): Promise<void> {
    for (const { store } of node.organizations.values()) this.#releases.push((await store.hold()).release);
    for (const [slug, { profile, paths }] of node.organizations) {
      const input = organizationStore(profile, paths, node.chain, node.stores);
      await this.#pin(input, organizationCopy, organizationPaths(target, slug).store);
    }
    await this.#pin(exchangeStore(node.stores, node.dataRoot), exchangeCopy, join(target, exchangeFile));
  }

  async #pin(input: StoreInput, tables: readonly CopiedTable[], to: string): Promise<void> {
    const pinned = await pinCopy(input, tables);
    if (pinned !== undefined) this.#databases.push({ pinned, to });
  }

  /** Runs to its end in one turn of the event loop, in which the ledger stands still. */
  take(node: BackedUp): void {
    for (const [slug, { vault }] of recordsOf(node)) this.#anchored.set(slug, vault.log.anchored());
    this.release();
  }

  release(): void {
    for (const release of this.#releases) release();
    this.#releases = [];
  }

  /**
   * Databases as they were; vaults as they have become. A vault may hold more than its moment, which nothing refers to, or
   * less where something was erased meanwhile, which its erasure list says.
   */
  async copy(node: BackedUp, target: string): Promise<void> {
    for (const { pinned, to } of this.#databases) await pinned.copyTo(to);
    for (const [slug, { vault }] of recordsOf(node)) {
      const { root, vault: to } = organizationPaths(target, slug);
      makeDirectory(root);
      await vault.copyTo(to, this.#anchored.get(slug));
    }
  }

  async close(): Promise<void> {
    this.release();
    for (const { pinned } of this.#databases) await pinned.close();
  }
}

const underWay = new WeakSet<NodeContext['organizations']>();

/**
 * Copies a node that goes on working, as of one moment: what a power cut at that moment would have left, and so what every
 * start recovers from. Keys are not in it. Throws a NodeFault and removes what it wrote when it cannot be finished.
 */
export async function backupRunningNode(node: BackedUp, target: string, nowMs: number): Promise<BackupManifest> {
  const { ledger, dataRoot, organizations } = node;
  const directory = openDirectory(dataRoot);
  if (ledger.copyTo === undefined) throw new NodeFault(NodeErrorCodes.backupOnlineUnable);
  if (underWay.has(organizations)) throw new NodeFault(NodeErrorCodes.backupUnderWay);
  refuseTarget(dataRoot, target);
  const moment = new Moment();
  underWay.add(organizations);
  try {
    makeDirectory(target);
    await moment.hold(node, target);
    const head = await ledger.copyTo(ledgerPath(target), () => moment.take(node));
    await moment.copy(node, target);
    return await finishBackup(directory, target, head, nowMs);
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    throw error;
  } finally {
    await moment.close();
    underWay.delete(organizations);
  }
}
