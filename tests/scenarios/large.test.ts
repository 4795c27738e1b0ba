/** Answers with more entries than one entry of the log, or one question, can hold. */
import type { MemberRequester } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { releasedEntriesMax } from '../../packages/server/src/gate/gate.ts';
import { lab } from './resources.ts';
import { dayMs, type Patient, type Staff, World } from './world.ts';

const entries = 2_300;
let world: World;
let doctor: Staff;
let patient: Patient;

beforeAll(async () => {
  world = await World.create();
  doctor = await world.staff('clinic', 'doctor');
  const many = Array.from({ length: entries - 1 }, (_, n) => lab(`many-${n}`));
  patient = await (await world.patient('hospital', many)).link();
});
afterAll(async () => {
  await world.close();
});

interface Listed {
  path: string;
  disclosure: { outcome: string; records: unknown[]; parts?: string[]; partOf?: string; id: string };
}

describe('R-CON-3 a long answer', () => {
  it('is one use, listed entry by entry in parts to which the release on the ledger commits', async () => {
    const clinic = { kind: 'organization' as const, id: world.org('clinic').profile.did };
    await patient.grant({ grantees: [clinic], usesMax: 1 });
    const path = `/org/hospital/fhir/R4/Patient/${patient.id}/$everything`;
    const { status, body } = await world.http('GET', path, await world.token(doctor));
    expect([status, body.total]).toEqual([200, entries]);
    const answer = await patient.http('GET', '/org/hospital/accounting');
    expect(answer.body.complete).toBe(true);
    const listed: Listed[] = answer.body.entries;
    const [release] = listed.filter((one) => one.path === 'ledger');
    const parts = listed.filter(({ disclosure }) => disclosure.partOf === release?.disclosure.id);
    expect(listed).toHaveLength(1 + parts.length);
    expect([release?.disclosure.records.length, release?.disclosure.parts?.length]).toEqual([1_000, 2]);
    expect(parts.reduce((sum, { disclosure }) => sum + disclosure.records.length, 1_000)).toBe(entries);
    expect((await world.http('GET', path, await world.token(doctor))).status, 'the use is gone').toBe(403);
  });

  it('of more than a question may release is refused with a number, before anything is recorded', async () => {
    const { gate, resources } = world.records('hospital');
    const [one] = await resources.ofPatient(patient.id, 'Patient');
    const { did, slug, name, role } = world.org('hospital').profile;
    const requester: MemberRequester = {
      kind: 'member',
      organization: { did, slug, name, role },
      subject: { kind: 'practitioner', id: (await world.staff('hospital', 'doctor')).did },
      roles: ['doctor'],
      purpose: 'TREAT',
      tokenId: 'test',
      expiresMs: world.nowMs + dayMs,
      impersonated: false,
    };
    const question = { requester, purpose: 'TREAT', action: 'read' as const, exit: 'everything' as const };
    const head = world.records('hospital').vault.log.head();
    const many = Array.from({ length: releasedEntriesMax + 1 }, () => ({ ...one! }));
    await expect(gate.release(question, many)).rejects.toMatchObject({ code: 790 });
    expect(world.records('hospital').vault.log.head()).toEqual(head);
  });
});
