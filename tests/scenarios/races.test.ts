/** Things that happen at the same moment: two audits, a revocation between decision and release, a clock at expiry. */
import type { MemberRequester } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdReads } from '../../packages/server/src/testing/held-reads.ts';
import { seenBy } from './exits.ts';
import { lab } from './resources.ts';
import { dayMs, hourMs, minuteMs, type Patient, type Staff, World } from './world.ts';

let world: World;
let doctorH: Staff;
let doctorC: Staff;
const clinic = () => ({ kind: 'organization' as const, id: world.org('clinic').profile.did });

beforeAll(async () => {
  world = await World.create();
  doctorH = await world.staff('hospital', 'doctor');
  doctorC = await world.staff('clinic', 'doctor');
});
afterAll(async () => {
  await world.close();
});

function questionOf(staff: Staff, exit: 'read' | 'search' | 'export' = 'search') {
  const { did, slug, name, role } = world.org(staff.slug).profile;
  const requester: MemberRequester = {
    kind: 'member',
    organization: { did, slug, name, role },
    subject: { kind: 'practitioner', id: staff.did },
    roles: staff.roles,
    purpose: 'TREAT',
    tokenId: 'test',
    expiresMs: world.nowMs + dayMs,
    impersonated: false,
  };
  return { requester, purpose: 'TREAT', action: 'read' as const, exit };
}

const stored = (patient: Patient) => world.records('hospital').resources.ofPatient(patient.id);
const gate = () => world.records('hospital').gate;

describe('R-CON-3 two audits at the same time', () => {
  it('put each access onto the ledger once', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    const { recorder } = world.desk('hospital');
    for (let round = 0; round < 3; round += 1) {
      for await (const _ of await gate().release(questionOf(doctorH), await stored(patient)));
      await Promise.all([recorder.drain(), recorder.drain(), patient.http('GET', '/org/hospital/accounting')]);
    }
    const { body } = await patient.http('GET', '/org/hospital/accounting');
    expect([body.complete, body.anchored, body.entries.length]).toEqual([true, 3, 3]);
  });
});

describe('R-CON-1 between the decision and the release', () => {
  it('a revocation stops everything, the first entry too', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    const directive = await patient.grant({ grantees: [clinic()] });
    const answer = await gate().release(questionOf(doctorC), await stored(patient));
    await patient.revoke(directive);
    expect((await answer.next()).done).toBe(true);
  });

  it('so does a denial that comes as a new directive', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    const answer = await gate().release(questionOf(doctorH), await stored(patient));
    await patient.grant({ effect: 'deny', purposes: [], actions: [] });
    expect((await answer.next()).done).toBe(true);
  });

  it('an expiry stops the rest, also while the ledger stands still', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b'), lab('c')])).link();
    await patient.grant({ grantees: [clinic()], untilMs: world.nowMs + hourMs });
    const answer = await gate().release(questionOf(doctorC), await stored(patient));
    expect((await answer.next()).done).toBe(false);
    world.clockMs = world.nowMs + hourMs + minuteMs;
    expect((await answer.next()).done).toBe(true);
    await world.tick();
  });

  it('the use that an answer took does not end it, however many blocks pass', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b'), lab('c')])).link();
    await patient.grant({ grantees: [clinic()], usesMax: 1 });
    let count = 0;
    for await (const _ of await gate().release(questionOf(doctorC), await stored(patient))) {
      count += 1;
      await world.tick();
    }
    expect(count).toBe(4);
    await expect(
      gate()
        .release(questionOf(doctorC), await stored(patient))
        .then((again) => again.next()),
    ).resolves.toEqual({
      done: true,
      value: undefined,
    });
  });
});

describe('R-CON-1 what happens while the facts of a decision are read', () => {
  type Table = 'relationships' | 'sealed_content';
  const tables: Table[] = ['relationships', 'sealed_content'];

  interface Around {
    staff?: Staff;
    purpose?: string;
    table: Table;
    happens(): Promise<unknown>;
  }

  /** How many entries are permitted where something happens after the first rows of a table were read. */
  async function permittedAround(
    patient: Patient,
    { staff = doctorC, purpose = 'TREAT', table, happens }: Around,
  ): Promise<number> {
    const entries = await stored(patient);
    const question = { ...questionOf(staff), purpose };
    const { store } = world.org('hospital');
    await world.desk('hospital').facts.ready();
    expect((await gate().decide(question, entries)).permitted, 'before').not.toHaveLength(0);
    // Nothing of it is known from before.
    await world.records('hospital').content.put('request', `r-${patient.id}`, patient.did, {});
    const held = holdReads(store, table);
    try {
      const answer = gate().decide(question, entries);
      await held.begun;
      await happens();
      held.release();
      return (await answer).permitted.length;
    } finally {
      held.release();
    }
  }

  it.each(tables)('a revocation counts, and an end by the clock (%s)', async (table) => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const directive = await patient.grant({ grantees: [clinic()] });
    expect(await permittedAround(patient, { table, happens: () => patient.revoke(directive) })).toBe(0);
    await patient.grant({ grantees: [clinic()], untilMs: world.nowMs + hourMs });
    expect(await permittedAround(patient, { table, happens: () => world.pass(hourMs + minuteMs) })).toBe(0);
  });

  it.each(tables)('a denial counts that comes as a new directive (%s)', async (table) => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const happens = async () => {
      await patient.grant({ effect: 'deny', purposes: [], actions: [] });
      await world.desk('hospital').facts.ready();
    };
    expect(await permittedAround(patient, { staff: doctorH, table, happens })).toBe(0);
  });

  it.each(tables)('who is taken out of the care team meanwhile is out of it (%s)', async (table) => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [{ kind: 'careTeam' }] });
    const { relationships } = world.desk('hospital');
    await relationships.set(patient.did, doctorC.did, 'careTeam');
    const happens = () => relationships.end(patient.did, doctorC.did, 'careTeam');
    expect(await permittedAround(patient, { table, happens })).toBe(0);
  });

  it.each(tables)('a merge counts, with what the other pseudonym’s directives say (%s)', async (table) => {
    const open = await (await world.patient('hospital', [lab('a')])).link();
    const other = await (await world.patient('hospital', [lab('b')])).link();
    await open.grant({ grantees: [clinic()] });
    await other.grant({ grantees: [clinic()] });
    const pair = { survivor: open.did, merged: other.did };
    const happens = async () => {
      await world.org('hospital').execute([{ type: 'identity/mergePatients', ...pair }]);
      await world.desk('hospital').facts.ready();
    };
    expect(await permittedAround(open, { table, happens })).toBe(2);
    await world.org('hospital').execute([{ type: 'identity/unmergePatients', ...pair }]);
    await other.grant({ effect: 'deny', purposes: [], actions: [] });
    expect(await permittedAround(open, { table, happens })).toBe(0);
  });

  it.each(tables)('a window of an emergency that ends meanwhile is over (%s)', async (table) => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const body = { custodian: 'hospital', patient: patient.did, reasonCode: 'unconscious', reasonText: 'no wallet' };
    const opened = await world.http('POST', '/org/clinic/break-glass', await world.token(doctorC, 'ETREAT'), body);
    expect(opened.status).toBe(201);
    await world.desk('hospital').facts.ready();
    const happens = () => world.pass(opened.body.windowUntilMs + 1 - world.nowMs);
    expect(await permittedAround(patient, { purpose: 'ETREAT', table, happens })).toBe(0);
  });
});

describe('R-IDN-1 an organisation speaks for its own active people only', () => {
  const seen = (patient: Patient, staff: Staff) => seenBy(world, patient, () => world.token(staff));

  it('not for somebody whom another one registered', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [{ kind: 'person', id: doctorC.did }] });
    expect(await seen(patient, doctorC)).toHaveLength(2);
    expect(await seen(patient, { ...doctorC, slug: 'practice' })).toEqual([]);
  });

  it('not for a wallet, whose holder decides with their own key', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const other = await (await world.patient('clinic', [])).link();
    await patient.grant({ grantees: [{ kind: 'person', id: other.did }] });
    expect(await seen(patient, { did: other.did, slug: 'clinic', roles: ['doctor'] })).toEqual([]);
  });

  it('not for who is suspended, though their organisation may read', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [clinic()] });
    const nurse = await world.staff('clinic', 'nurse');
    expect(await seen(patient, nurse)).toHaveLength(2);
    const suspension = { type: 'identity/setStatus', participant: nurse.did, status: 'suspended' };
    await world.org('clinic').execute([suspension]);
    expect(await seen(patient, nurse)).toEqual([]);
  });
});
