import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LogHead } from '@salus/vault';
import { ledgerPath, makeDirectory, openDirectory } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { NodeContext } from '../node/start-node.ts';
import { organizationPaths } from '../orgs/organization.ts';
import { recordsOf } from '../records/records-part.ts';
import { exchangeFile, finishBackup, type PinnedDatabase, pinDatabase, refuseTarget } from './backup.ts';
import type { BackupManifest } from './manifest.ts';

type BackedUp = Pick<NodeContext, 'dataRoot' | 'ledger' | 'organizations'>;

/** Everything that a moment consists of besides the ledger. */
class Moment {
  readonly #databases: { pinned: PinnedDatabase; to: string }[] = [];
  readonly #anchored = new Map<string, LogHead>();

  /** Runs to its end in one turn of the event loop: no store changes in between. */
  take(node: BackedUp, target: string): void {
    for (const [slug, { paths }] of node.organizations) {
      this.#databases.push({ pinned: pinDatabase(paths.store), to: organizationPaths(target, slug).store });
    }
    const exchange = join(node.dataRoot, exchangeFile);
    if (existsSync(exchange)) this.#databases.push({ pinned: pinDatabase(exchange), to: join(target, exchangeFile) });
    for (const [slug, { vault }] of recordsOf(node)) this.#anchored.set(slug, vault.log.anchored());
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

  close(): void {
    for (const { pinned } of this.#databases) pinned.close();
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
    const head = await ledger.copyTo(ledgerPath(target), () => moment.take(node, target));
    await moment.copy(node, target);
    return await finishBackup(directory, target, head, nowMs);
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    throw error;
  } finally {
    moment.close();
    underWay.delete(organizations);
  }
}
