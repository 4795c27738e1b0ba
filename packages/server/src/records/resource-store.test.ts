import { join } from 'node:path';
import { openVault, type Vault } from '@salus/vault';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { vaultKeyProvider } from '../orgs/organization.ts';
import { openStore } from '../store/location.ts';
import { organizationMigrations } from '../store/migrations.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { temporaryDirectory, testStores } from '../testing/test-node.ts';
import { PatientDirectory } from './patient-directory.ts';
import { type NewVersion, ResourceStore } from './resource-store.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let store: OrganizationStore;
let vault: Vault;
let resources: ResourceStore;
beforeEach(async () => {
  directory = temporaryDirectory();
  const at = (name: string): string => join(directory.path, name);
  const paths = { root: at(''), keys: at('keys'), vault: at('vault'), log: at('log'), store: at('node.sqlite') };
  const keys = vaultKeyProvider(paths);
  await keys.create(1);
  vault = await openVault({ dir: paths.vault, organisation: 'did:example:o', keys });
  const location = testStores();
  const migrations = organizationMigrations;
  store = await openStore<OrganizationTables>({ location, file: paths.store, name: 'test', owner: 'test', migrations });
  resources = new ResourceStore(store, vault);
});
afterEach(async () => {
  await vault.close();
  await store.close();
  directory.remove();
});

const version = (id: string, text = id, more: Partial<NewVersion> = {}): NewVersion => ({
  ...{ type: 'Observation', id, patient: 'p', lastUpdated: `2024-01-01T00:00:00.000Z`, categories: [], labels: [] },
  ...{ tokens: [], contentSalt: '', contentCommitment: '', originalSalt: '', originalCommitment: '' },
  ...{ content: Buffer.from(text), original: Buffer.from(text), sourceHash: text },
  identifiers: [{ system: 'urn:test', value: id }],
  ...more,
});
const outcomes = async (items: NewVersion[], atomic = false) =>
  (await resources.put(items, { atomic })).map((one) => (one.outcome === 'refused' ? one.error : one.outcome));

describe('R-REC-4 one put of many versions', () => {
  it('may be larger than what one statement takes, and finds each again', async () => {
    const many = Array.from({ length: 1_203 }, (_, n) => version(`m-${n}`));
    expect(new Set(await outcomes(many, true))).toEqual(new Set(['new']));
    expect(new Set(await outcomes(many, true))).toEqual(new Set(['same']));
    expect(await resources.ofPatient('p', 'Observation')).toHaveLength(1_203);
    const names = many.map(({ type, id }) => `${type}/${id}`).reverse();
    const found = await resources.findAll(['Observation/none', ...names]);
    expect(found.map(({ type, id }) => `${type}/${id}`)).toEqual(names);
    expect((await resources.findByIdentifier('Observation', 'urn:test', 'm-1202'))?.id).toBe('m-1202');
    const waiting = await resources.unanchored(2_000);
    expect(waiting.map(({ meta }) => meta.id)).toEqual(many.map(({ id }) => id));
    await resources.anchored(waiting.slice(1).map(({ seq }) => seq));
    expect(await resources.counts()).toEqual({ resources: 1_203, unanchored: 1, refused: 0 });
  });

  it('of one resource numbers them in turn; the last is current, and has what was said of its identifiers last', async () => {
    const shared = { identifiers: [{ system: 'urn:test', value: 'both' }] };
    const items = [
      version('a', 'one', shared),
      version('a', 'two', shared),
      version('a', 'two'),
      version('b', 'b', shared),
    ];
    expect(await outcomes(items)).toEqual(['new', 'updated', 'same', 'new']);
    const current = await resources.find('Observation', 'a');
    expect([current?.version, (await resources.versions(current?.record ?? '')).map((one) => one.version)]).toEqual([
      2,
      [2, 1],
    ]);
    expect((await resources.findByIdentifier('Observation', 'urn:test', 'both'))?.id).toBe('b');
  });

  it('that is refused in part writes the rest, and as a transaction nothing', async () => {
    const other = version('a', 'else', { patient: 'q' });
    expect(await outcomes([version('a'), other, version('c', 'c', { expectedVersion: 3 })], true)).toEqual([
      'new',
      'resourceIdTaken',
      'versionConflict',
    ]);
    expect((await resources.counts()).resources).toBe(0);
    expect(await outcomes([version('a'), other])).toEqual(['new', 'resourceIdTaken']);
    expect((await resources.counts()).resources).toBe(1);
  });
});

describe('R-REC-3 puts that come at the same time', () => {
  it('number the versions of one resource one after the other', async () => {
    const texts = ['1', '2', '3', '4', '5', '6'];
    await Promise.all(texts.map((text) => resources.put([version('a', text)])));
    const { record = '' } = (await resources.find('Observation', 'a')) ?? {};
    expect((await resources.versions(record)).map((one) => one.version)).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('under one condition, or upon one version: the first alone is taken', async () => {
    const unless = { system: 'urn:test', value: 'x' };
    const created = ['c-1', 'c-2'].map((id) => outcomes([version(id, id, { unless, identifiers: [unless] })]));
    expect(await Promise.all(created)).toEqual([['new'], ['createdMeanwhile']]);
    const changed = ['x', 'y'].map((text) => outcomes([version('c-1', text, { expectedVersion: 1 })]));
    expect(await Promise.all(changed)).toEqual([['updated'], ['versionConflict']]);
  });

  it('with an erasure leave nothing readable behind', async () => {
    await resources.put([version('a', 'one')]);
    const stored = await resources.find('Observation', 'a');
    if (stored === undefined) throw new Error('not stored');
    const first = outcomes([version('a', 'two')]);
    const erasing = resources.erase(stored);
    const second = outcomes([version('a', 'three')]);
    await erasing;
    expect([await first, await second]).toEqual([['updated'], ['resourceErased']]);
    const versions = await resources.versions(stored.record);
    expect(versions.map(({ blob, erased }) => [vault.blobs.has(blob), erased])).toEqual([
      [false, true],
      [false, true],
    ]);
  });
});

describe('R-REC-4 a patient who is added twice at the same moment', () => {
  it('has one pseudonym, in memory and in the store', async () => {
    const key = vault.ring.purposeKey('identity-segment');
    const patients = await PatientDirectory.open(store, key, resources.tokens);
    const patient = { id: 'p', names: [], identifiers: [], deceased: false };
    const [[one], [other]] = await Promise.all([patients.put([patient]), patients.put([patient])]);
    expect(one?.did).toBe(other?.did);
    expect(patients.byDid(one?.did ?? 'did:salus:none')?.id).toBe('p');
    const again = await PatientDirectory.open(store, key, resources.tokens);
    expect([again.byId('p')?.did, patients.byId('p')?.did]).toEqual([one?.did, one?.did]);
  });
});
