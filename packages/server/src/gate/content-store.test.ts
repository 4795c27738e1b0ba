import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdReads } from '../testing/held-reads.ts';
import { bundleOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

let node: RecordsNode;
beforeAll(async () => {
  node = await startRecordsNode();
  expect((await node.import(bundleOf([patientOf('c-1')]))).rejected).toBe(0);
});
afterAll(() => node.stop());

describe('R-CON-1 what is sealed to a custodian', () => {
  it('is there for everybody who reads after it was put, also where a read was under way', async () => {
    const { content, organization } = node.records();
    const patient = node.didOf('c-1');
    const glasses = async () => (await content.about([patient])).get(patient)?.of('glass');
    for (const n of [1, 2, 3]) {
      const held = holdReads(organization.store, 'sealed_content');
      const before = glasses();
      await held.begun;
      await content.put('glass', `g-${n}`, patient, { n });
      held.release();
      expect(await before, 'as it was when the read began').toHaveLength(n - 1);
      expect(await glasses()).toHaveLength(n);
      await content.put('glass', `g-${n}`, patient, { n });
    }
  });

  it('is replaced by what comes later under its name', async () => {
    const { content } = node.records();
    const patient = node.didOf('c-1');
    for (const n of [1, 2]) {
      await content.put('request', 'r', patient, { n });
      expect(await content.get('request', 'r')).toEqual({ n });
      expect((await content.about([patient])).get(patient)?.get('request', 'r')).toEqual({ n });
    }
  });
});
