/** One history over several custodians, each part through its own gate. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { World } from './world.ts';

let world: World;
const visit = (id: string, date: string) => ({
  resourceType: 'Condition',
  id,
  recordedDate: date,
  code: { coding: [{ system: 'http://snomed.info/sct', code: '38341003' }] },
  extension: [{ url: 'urn:example:weight', valueDecimal: 1 }],
});

beforeAll(async () => {
  world = await World.create();
});
afterAll(async () => {
  await world.close();
});

describe('R-REC-1 one-stop history', () => {
  it('joins what each custodian permits, newest first, and tells nothing of the rest', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    const here = await (await world.patient('clinic', [visit('c-1', '2026-03-01')])).link();
    const there = await (
      await world.patient('hospital', [visit('h-1', '2026-05-01'), visit('h-2', '2026-01-01')])
    ).link();
    const contexts = [
      { custodian: 'clinic', patient: here.did },
      { custodian: 'hospital', patient: there.did },
      { custodian: 'elsewhere', patient: there.did },
    ];
    const ask = async () => await world.http('POST', '/org/clinic/history', await world.token(doctor), { contexts });
    const before = await ask();
    expect(before.status).toBe(200);
    expect(before.body.custodians).toEqual([
      { slug: 'clinic', hosted: true, entries: 2 },
      { slug: 'hospital', hosted: true, entries: 0 },
      { slug: 'elsewhere', hosted: false, entries: 0 },
    ]);
    await there.grant({ grantees: [{ kind: 'organization', id: world.org('clinic').profile.did }] });
    const { body } = await ask();
    const ids = body.entries.map(({ resource }: { resource: { id: string } }) => resource.id);
    expect(ids.filter((id: string) => /^[ch]-/.test(id))).toEqual(['h-1', 'c-1', 'h-2']);
  });

  it('refuses a token of another organisation', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    const contexts = [{ custodian: 'hospital', patient: `did:salus:${'A'.repeat(27)}` }];
    const answer = await world.http('POST', '/org/hospital/history', await world.token(doctor), { contexts });
    expect(answer.status).toBe(403);
  });
});
