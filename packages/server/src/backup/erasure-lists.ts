import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseErasures, type Vault } from '@salus/vault';
import { makeDirectory, openDirectory, writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { organizationPaths } from '../orgs/organization.ts';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore } from '../store/tables.ts';

function listPath(root: string, slug: string): string {
  return join(organizationPaths(root, slug).vault, 'keys', 'erasures.jsonl');
}

/** A list up to its last whole line: one that is being written was not acknowledged yet. */
function readList(path: string): string {
  if (!existsSync(path)) return '';
  const text = readFileSync(path, 'utf8');
  return text.slice(0, text.lastIndexOf('\n') + 1);
}

/**
 * Copies the erasure list of every organisation to `target/SLUG.jsonl`, also beside a running node. A copy that says more
 * than the node does is kept: lists only grow. Gives the number of entries by organisation.
 */
export function copyErasureLists(root: string, target: string): Record<string, number> {
  const { organizations } = openDirectory(root).manifest;
  makeDirectory(target);
  const counts: Record<string, number> = {};
  for (const slug of organizations) {
    const path = join(target, `${slug}.jsonl`);
    const text = readList(listPath(root, slug));
    const entries = parseErasures(text);
    if (!text.startsWith(readList(path))) {
      throw new NodeFault(
        NodeErrorCodes.inputInvalid,
        `${slug}.jsonl there is not an earlier state of this node’s list.`,
      );
    }
    writeFileDurably(path, text);
    counts[slug] = entries.length;
  }
  return counts;
}

/** The newest lists by organisation, from copies, another backup, or what is left of a data directory. */
export function readErasureLists(source: string, slugs: readonly string[]): Map<string, string> {
  const lists = new Map<string, string>();
  for (const slug of slugs) {
    const path = [join(source, `${slug}.jsonl`), listPath(source, slug)].find((one) => existsSync(one));
    if (path !== undefined) lists.set(slug, readList(path));
  }
  if (lists.size === 0) throw new NodeFault(NodeErrorCodes.erasuresMissing);
  return lists;
}

async function recordsOfPatient(store: OrganizationStore, patient: string): Promise<string[]> {
  const rows = store.read.selectFrom('resources').select('record').where('patient', '=', patient);
  return (await rows.execute()).map(({ record }) => record);
}

/**
 * Makes the rest of an organisation follow its erasure list: rows say that their record is erased, and ciphertext that the
 * backup brought along is deleted. The keys are gone already. Gives the number of erased records.
 */
export async function applyErasures(vault: Vault, store: OrganizationStore): Promise<number> {
  const records = new Set<string>();
  for (const { kind, patient, records: listed } of vault.ring.erasures()) {
    const owned = kind === 'patient' ? await recordsOfPatient(store, patient) : [];
    for (const id of [...listed, ...owned]) records.add(id);
  }
  for (const slice of slicesOf([...records])) {
    const versions = store.read.selectFrom('versions').select('blob').where('record', 'in', slice);
    const addresses = (await versions.execute()).map(({ blob }) => blob);
    await vault.blobs.delete(addresses.filter((address) => vault.blobs.has(address)));
  }
  await store.commit(async (tx) => {
    for (const slice of slicesOf([...records])) {
      await tx.updateTable('resources').set({ erased: 1 }).where('record', 'in', slice).execute();
    }
  });
  return records.size;
}
