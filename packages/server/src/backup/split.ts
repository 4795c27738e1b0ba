import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type DataDirectory, ledgerPath, organizationPath } from '../node/data-directory.ts';
import { organizationPaths } from '../orgs/organization.ts';
import type { StoreLocation } from '../store/location.ts';
import { copyExchange, copyOrganization, copyProfile, copySynced } from './backup.ts';

/** Removes what `splitMember` made, so that it can be made anew. */
export function removeSplit(target: string): void {
  for (const name of ['orgs', 'exchange', 'ledger', 'comet'])
    rmSync(join(target, name), { recursive: true, force: true });
}

/**
 * Gives one organisation of a stopped node a data directory of its own: its keys, vault and stores, and the sealed
 * payloads that wait, which only their recipients can open. The ledger is copied by `copyLedger`, a function because it
 * must be open. The caller holds the lock; the target is no node until it is finished.
 */
export async function splitMember(
  directory: DataDirectory,
  slug: string,
  target: string,
  location: StoreLocation,
  copyLedger: (to: string) => Promise<unknown>,
): Promise<void> {
  removeSplit(target);
  const keys = organizationPaths(directory.root, slug).keys;
  const to = join(organizationPath(target, slug), 'keys');
  for (const name of readdirSync(keys).filter((file) => file.endsWith('.json'))) {
    await copySynced(join(keys, name), join(to, name));
  }
  await copyOrganization(directory, slug, target, location);
  await copyProfile(directory.root, slug, target);
  await copyExchange(directory.root, target, location);
  await copyLedger(ledgerPath(target));
}
