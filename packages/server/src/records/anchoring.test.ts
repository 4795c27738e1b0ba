import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RuleFault } from '../http/problems.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';
import { RecordErrorCodes } from './errors.ts';

let node: RecordsNode;
afterEach(async () => {
  vi.restoreAllMocks();
  await node.stop();
});

const anchored = async (type: string, id: string): Promise<boolean> => {
  const stored = await node.records().resources.find(type, id);
  return node.node.reader.get(`records/version/${stored?.record}/${stored?.version}`) !== undefined;
};

describe('R-REC-5 everything stored comes to the ledger', () => {
  it('after an outage of the ledger, without being imported again', async () => {
    node = await startRecordsNode();
    const { organization, resources, anchorer } = node.records();
    const execute = vi.spyOn(organization, 'execute').mockRejectedValue(new Error('disk full'));
    const input = bundleOf([patientOf('p'), observationOf('o', 'p')]);
    await expect(node.import(input)).rejects.toMatchObject({ code: RecordErrorCodes.ledgerUnavailable });
    expect(await resources.counts()).toEqual({ resources: 2, unanchored: 2, refused: 0 });
    execute.mockRestore();
    await anchorer.drain();
    expect([(await resources.counts()).unanchored, await anchored('Observation', 'o')]).toEqual([0, true]);
    expect((await node.import(input)).unchanged).toBe(2);
  });

  it('after a crash before, and after a crash behind the commit', async () => {
    node = await startRecordsNode();
    vi.spyOn(node.records().organization, 'execute').mockRejectedValue(new Error('killed'));
    await node.import(bundleOf([patientOf('p'), observationOf('o', 'p')]), { drain: false });
    await node.restart();
    await node.records().anchorer.drain();
    expect([await anchored('Patient', 'p'), await anchored('Observation', 'o')]).toEqual([true, true]);
    // The ledger has it, and the note of that is lost: nothing is submitted twice.
    const store = node.records().organization.store;
    const { record = '' } = (await node.records().resources.find('Observation', 'o')) ?? {};
    await store.commit(async (tx) => {
      await tx.insertInto('unanchored').values({ record, version: 1 }).execute();
      await tx.updateTable('patients').set({ registered: 0 }).execute();
    });
    const { height } = node.node.ledger.head();
    await node.restart();
    await node.records().anchorer.drain();
    expect(await node.records().resources.counts()).toEqual({ resources: 2, unanchored: 0, refused: 0 });
    const transactions = await node.node.ledger.find({ type: 'records/anchor', limit: 100 });
    expect(transactions.every((transaction) => transaction.height <= height && transaction.code === 0)).toBe(true);
  });

  it('though patients keep coming while others are registered and anchored', async () => {
    node = await startRecordsNode();
    const { organization, resources, anchorer } = node.records();
    const execute = organization.execute.bind(organization);
    vi.spyOn(organization, 'execute').mockImplementation(async (messages, options) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return await execute(messages, options);
    });
    for (let n = 0; n < 12; n += 1) {
      await node.import(bundleOf([patientOf(`p-${n}`), observationOf(`o-${n}`, `p-${n}`)]), { drain: false });
    }
    await anchorer.drain();
    expect(await resources.counts()).toEqual({ resources: 24, unanchored: 0, refused: 0 });
    expect(await anchored('Observation', 'o-11')).toBe(true);
  });

  it('and waits, instead of trying each alone, where everything is refused', async () => {
    node = await startRecordsNode();
    const { organization } = node.records();
    await node.import(bundleOf([patientOf('p')]));
    const execute = vi.spyOn(organization, 'execute').mockRejectedValue(new RuleFault(4_001));
    const observations = Array.from({ length: 200 }, (_, n) => observationOf(`o-${n}`, 'p'));
    await expect(node.import(bundleOf(observations))).rejects.toMatchObject({ code: 4_001 });
    expect(execute.mock.calls.length).toBeLessThan(150);
    execute.mockRestore();
    await node.restart();
    await node.records().anchorer.drain();
    expect(await node.records().resources.counts()).toEqual({ resources: 201, unanchored: 0, refused: 0 });
  });

  it('though a rule refuses one of many: that one is set aside with its code', async () => {
    node = await startRecordsNode();
    const { organization, resources } = node.records();
    const execute = organization.execute.bind(organization);
    let poison: string | undefined;
    vi.spyOn(organization, 'execute').mockImplementation(async (messages, options) => {
      const entries = messages.flatMap((message) => (message.entries ?? []) as { record: string }[]);
      poison ??= entries.length > 1 ? entries.at(-2)?.record : undefined;
      if (entries.some(({ record }) => record === poison)) throw new RuleFault(3_999);
      return await execute(messages, options);
    });
    const observations = Array.from({ length: 30 }, (_, n) => observationOf(`o-${n}`, 'p'));
    const report = await node.import(bundleOf([patientOf('p'), ...observations]));
    expect([report.accepted, await resources.counts()]).toEqual([31, { resources: 31, unanchored: 0, refused: 1 }]);
    const missing: (string | undefined)[] = [];
    for (const { id } of observations) {
      if (await anchored('Observation', String(id))) continue;
      missing.push((await resources.find('Observation', String(id)))?.record);
    }
    expect(missing).toEqual([poison]);
  });
});

describe('R-REC-5 a changed copy is noticed', () => {
  it('when stored ciphertext is altered, nothing of it is given out', async () => {
    node = await startRecordsNode();
    await node.import(bundleOf([patientOf('p'), observationOf('o', 'p')]));
    const packs = join(node.records().organization.paths.vault, 'blobs', 'packs');
    for (const name of readdirSync(packs)) {
      const path = join(packs, name);
      if (statSync(path).size === 0) continue;
      const bytes = readFileSync(path);
      for (let at = 100; at < bytes.length; at += 97) bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    }
    const token = await node.token({ kind: 'patient', id: 'p' });
    const answer = await node.fhir('/Observation/o', { token });
    expect([answer.status >= 500, answer.body.resourceType]).toEqual([true, 'OperationOutcome']);
    expect(answer.text).not.toContain('8867-4');
  });
});

describe('R-REC-5 what is erased while an answer is on its way', () => {
  it('is left out of it, and the rest comes', async () => {
    node = await startRecordsNode();
    await node.import(bundleOf([patientOf('p'), ...['a', 'b', 'c'].map((id) => observationOf(id, 'p'))]));
    const { resources } = node.records();
    const open = resources.open.bind(resources);
    const erasing = vi.spyOn(resources, 'open').mockImplementation(async (stored) => {
      if (stored.id === 'b') await resources.erase(stored);
      return await open(stored);
    });
    const token = await node.token({ kind: 'patient', id: 'p' });
    const answer = await node.fhir('/Observation?patient=p', { token });
    expect([answer.status, JSON.stringify(answer.body).includes('"b"')]).toEqual([200, false]);
    expect((await node.fhir('/Observation/b', { token })).status).toBe(404);
    expect(erasing).toHaveBeenCalled();
    erasing.mockRestore();
    expect((await node.fhir('/Observation/c', { token })).status).toBe(200);
  });
});
