import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

let node: RecordsNode;

beforeAll(async () => {
  node = await startRecordsNode();
  await node.import(bundleOf([patientOf('s-1'), observationOf('s-o', 's-1'), patientOf('s-2')]));
});

afterAll(() => node.stop());

async function call(token: string, path: string, body?: unknown, slug = 'hospital') {
  const response = await fetch(`${node.node.url}/org/${slug}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { entries?: unknown[] };
  return { status: response.status, body: answer };
}

describe('R-IDN-1 what a token says of a person does not count where the ledger says otherwise', () => {
  it('makes no officer of a clerk, nor of somebody suspended', async () => {
    const clerk = await node.practitioner('clerk');
    const token = await node.token({ kind: 'practitioner', id: clerk.did }, { roles: ['officer'] });
    const path = `/accounting?patient=${node.didOf('s-1')}`;
    expect((await call(token, path)).status).toBe(403);
    expect((await call(token, '/reviews')).status).toBe(403);
    const officer = await node.token({ kind: 'practitioner', id: 'officer-1' }, { roles: ['officer'] });
    expect((await call(officer, path)).status).toBe(200);
  });

  it('gives a patient nothing of what their organisation may do', async () => {
    const own = await node.token({ kind: 'patient', id: 's-1' }, { purpose: 'HOPERAT' });
    expect((await node.fhir('/Patient/s-1', { token: own })).status).toBe(200);
    const other = await node.token({ kind: 'patient', id: 's-2' }, { purpose: 'HOPERAT' });
    expect((await node.fhir('/Patient/s-1', { token: other })).status).toBe(404);
    expect((await node.fhir('/Observation?patient=s-1', { token: other })).body.total).toBe(0);
  });
});

describe('R-CON-1 nobody decides about their own access', () => {
  it('only systems and officers say who is in a care team or excluded; a tie of their own anybody declares', async () => {
    const { did, token } = await node.practitioner('clerk');
    const patient = node.didOf('s-1');
    const status = async (body: object, by = token): Promise<number> =>
      (await call(by, '/relationships', { patient, person: did, ...body })).status;
    expect(await status({ kind: 'careTeam' })).toBe(403);
    expect(await status({ kind: 'excludedByCourt', ended: true })).toBe(403);
    expect(await status({ kind: 'personalTie' })).toBe(200);
    expect(await status({ kind: 'personalTie', ended: true })).toBe(403);
    expect(await status({ kind: 'careTeam' }, await node.system())).toBe(200);
    const someone = (await node.practitioner()).did;
    expect(await status({ kind: 'personalTie', person: someone })).toBe(403);
  });
});

describe('R-CON-2 nobody becomes a patient by a code of their own', () => {
  it('only systems and those who check identities make codes', async () => {
    const body = { patient: 's-2' };
    for (const role of ['clerk', 'doctor'] as const) {
      expect((await call((await node.practitioner(role)).token, '/linking-codes', body)).status).toBe(403);
    }
    const registrar = await node.token({ kind: 'practitioner', id: 'desk-1' }, { roles: ['registrar'] });
    expect((await call(registrar, '/linking-codes', body)).status).toBe(201);
    expect((await call(await node.system(), '/linking-codes', body)).status).toBe(201);
  });
});

describe('R-LED-5 a history of nobody takes as long as one that is denied', () => {
  it('waits', async () => {
    const doctor = await node.token({ kind: 'practitioner', id: 'dr-9' }, { slug: 'clinic', roles: ['doctor'] });
    const nobody = `did:salus:${'A'.repeat(27)}`;
    for (const patient of [nobody, node.didOf('s-1')]) {
      const startMs = performance.now();
      const { body } = await call(doctor, '/history', { contexts: [{ custodian: 'hospital', patient }] }, 'clinic');
      expect(body.entries).toEqual([]);
      expect(performance.now() - startMs).toBeGreaterThan(49);
    }
  });
});
