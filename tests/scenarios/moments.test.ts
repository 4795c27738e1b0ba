/** Scenarios about moments: a quiet revocation, a handover, a stolen key, a clock that runs ahead. */
import { identity } from '@salus/contracts';
import { deriveContext, generateRootSecret, type Message, signTransaction, toBase64url } from '@salus/protocol';
import type { MemberRequester } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerFacts } from '../../packages/server/src/gate/facts.ts';
import { ConsentGate } from '../../packages/server/src/gate/gate.ts';
import { seenBy } from './exits.ts';
import { condition, lab } from './resources.ts';
import { dayMs, hourMs, minuteMs, type Patient, type Staff, World } from './world.ts';

let world: World;
let doctorC: Staff;
let doctorP: Staff;
const of = (slug: string) => ({ kind: 'organization' as const, id: world.org(slug).profile.did });

beforeAll(async () => {
  world = await World.create();
  doctorC = await world.staff('clinic', 'doctor');
  doctorP = await world.staff('practice', 'doctor');
});
afterAll(async () => {
  await world.close();
});

async function seen(patient: Patient, staff: Staff): Promise<string[]> {
  return await seenBy(world, patient, () => world.token(staff));
}

async function raw(path: string, staff: Staff) {
  const headers = { authorization: `Bearer ${await world.token(staff)}` };
  const response = await fetch(world.node.url + path, { headers });
  return { status: response.status, body: await response.text() };
}

describe('R-CON-1 scenario 22: a quiet revocation', () => {
  it('tells the other side nothing, shows what is absent, and opens nothing new', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const directive = await patient.grant({ grantees: [of('clinic')] });
    expect(await seen(patient, doctorC)).toHaveLength(2);
    const boards = ['clinic', 'practice'].map((slug) => world.org(slug).notices);
    const before = await Promise.all(boards.map((board) => board.latest()));
    await patient.revoke(directive);
    await world.desk('clinic').facts.ready();
    expect(await Promise.all(boards.map((board) => board.latest())), 'no notice').toEqual(before);
    const base = '/org/hospital/fhir/R4/Observation';
    const [known] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    const denied = await raw(`${base}/${known!.id}`, doctorC);
    const nothing = await raw(`${base}/${'x'.repeat(known!.id.length)}`, doctorC);
    expect(denied, 'the answer for what does not exist').toEqual(nothing);
    const fresh = lab('fresh', { subject: { reference: `Patient/${patient.id}` } });
    const put = `${base}/${fresh.id}`;
    expect((await world.http('PUT', put, await world.token({ slug: 'hospital', system: true }), fresh)).status).toBe(
      201,
    );
    expect(await seen(patient, doctorC)).toEqual([]);
  });
});

describe('R-CON-1 scenario 29: a handover to a new practice', () => {
  it('lets the new one read, takes a late result of the old one, and ends the old one’s reading as stated', async () => {
    const patient = await (await world.patient('clinic', [lab('a'), condition('b')])).link();
    const handoverMs = world.nowMs + 2 * dayMs;
    await patient.grant({ grantees: [of('practice')] });
    await patient.grant({
      effect: 'deny',
      grantees: [of('clinic')],
      purposes: ['TREAT'],
      actions: ['read'],
      fromMs: handoverMs,
    });
    expect(await seen(patient, doctorP)).toHaveLength(3);
    expect(await seen(patient, doctorC), 'before the handover').toHaveLength(3);
    await world.pass(handoverMs - world.nowMs);
    expect(await seen(patient, doctorC), 'from the handover on').toEqual([]);
    const late = lab('late', { subject: { reference: `Patient/${patient.id}` } });
    const path = `/org/clinic/fhir/R4/Observation/${late.id}`;
    const written = await world.http('PUT', path, await world.token({ slug: 'clinic', system: true }), late);
    expect(written.status, JSON.stringify(written.body)).toBe(201);
    expect(await seen(patient, doctorP)).toContain(`Observation/${late.id}`);
    expect(await seen(patient, doctorC)).toEqual([]);
  });
});

describe('R-IDN-1 R-LED-1 scenario 30: a thief signs with a revoked key', () => {
  async function recovered(): Promise<Patient> {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const fresh = await deriveContext(generateRootSecret(), 'recovered');
    const { publicJwk } = fresh.signing;
    const key = { name: 'sign-2', purpose: 'sign', suite: 'ES256', jwk: { ...publicJwk } };
    const added: Message = { type: 'identity/addKey', participant: patient.did, key };
    const revoked: Message = { type: 'identity/revokeKey', participant: patient.did, name: 'sign-1', reason: 'stolen' };
    expect((await patient.submit([added])).code).toBe(0);
    expect((await patient.submit([revoked])).code).toBe(0);
    return patient;
  }

  async function theft(patient: Patient, break_ = false) {
    const content = patient.directive('A'.repeat(22), { grantees: [of('clinic')] });
    const id = toBase64url(crypto.getRandomValues(new Uint8Array(16)));
    const message = patient.grantMessage(id, toBase64url(new Uint8Array(32)), content);
    const { chain } = world.node;
    const validUntil = world.nowMs + 5 * minuteMs;
    const bytes = await signTransaction({ chain, messages: [message], signers: [patient.signer], validUntil });
    const text = Buffer.from(bytes).toString();
    const sent = break_
      ? text.replace(/"signature":"(.)/, (_all, first) => `"signature":"${first === 'A' ? 'B' : 'A'}`)
      : text;
    const response = await fetch(`${world.node.url}/api/transactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/jose+json' },
      body: sent,
    });
    return { status: response.status, body: JSON.parse(await response.text()) };
  }

  function casesOf(patient: Patient) {
    const { did } = world.org('hospital').profile;
    return identity.cases(world.node.reader, did).filter(({ patients }) => patients.includes(patient.did));
  }

  it('refuses the grant with a numbered error and opens one case', async () => {
    const patient = await recovered();
    for (const attempt of [1, 2]) {
      const answer = await theft(patient);
      expect(answer.status, `attempt ${attempt}`).toBe(422);
      expect(answer.body.code).toBe(1009);
      await expect.poll(() => casesOf(patient).map(({ kind }) => kind)).toEqual(['revokedKeyUsed']);
    }
    expect(await seen(patient, doctorC)).toEqual([]);
  });

  it('opens no case for a signature that is none', async () => {
    const patient = await recovered();
    expect((await theft(patient, true)).status).toBe(400);
    await world.tick();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(casesOf(patient)).toEqual([]);
  });
});

describe('R-CON-1 scenario 36: the clock of one node is 10 s ahead', () => {
  /** The same organisation’s gate as a node with another clock would build it. */
  function gateAt(clockMs: () => number): ConsentGate {
    const { records, relationships, recorder, did } = world.desk('hospital');
    const { patients, content: contents, resources, vault } = records;
    const { ledger, reader } = world.node;
    const ready = async (): Promise<void> => undefined;
    const head = () => ledger.head();
    const facts = new LedgerFacts({
      organization: did,
      reader,
      head,
      patients,
      contents,
      relationships,
      personOf: () => undefined,
      nameOf: () => undefined,
      ready,
      clockMs,
    });
    return new ConsentGate({
      organization: did,
      resources,
      facts,
      log: vault.log,
      recorder,
      nowMs: () => facts.nowMs(),
      clockMs,
    });
  }

  function questionOf() {
    const { did, slug, name, role } = world.org('clinic').profile;
    const requester: MemberRequester = {
      kind: 'member',
      organization: { did, slug, name, role },
      subject: { kind: 'practitioner', id: doctorC.did },
      roles: ['doctor'],
      purpose: 'TREAT',
      tokenId: 'test',
      expiresMs: world.nowMs + dayMs,
      impersonated: false,
    };
    return { requester, purpose: 'TREAT', action: 'read' as const, exit: 'search' as const };
  }

  it('decides by block time, the same on all nodes, on both sides of the edge', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    const untilMs = world.nowMs + hourMs;
    await patient.grant({ grantees: [of('clinic')], untilMs });
    await world.desk('hospital').facts.ready();
    const question = questionOf();
    const all = await world.records('hospital').resources.ofPatient(patient.id);
    const clocks = [-10_000, 0, 10_000].map((skewMs) => () => world.nowMs + skewMs);
    const answers = (): Promise<number[]> =>
      Promise.all(clocks.map(async (clock) => (await gateAt(clock).decide(question, all)).permitted.length));
    await world.pass(untilMs - 5_000 - world.nowMs);
    expect(world.node.ledger.head().timeMs).toBeLessThan(untilMs);
    expect(await answers(), 'five seconds before the end').toEqual([3, 3, 3]);
    await world.pass(untilMs - world.nowMs);
    expect(await answers(), 'at the end').toEqual([0, 0, 0]);
  });

  it('lets a ledger that stands still open nothing that the local clock calls expired', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [of('clinic')], untilMs: world.nowMs + hourMs });
    await world.desk('hospital').facts.ready();
    const all = await world.records('hospital').resources.ofPatient(patient.id);
    const permitted = async (aheadMs: number): Promise<number> =>
      (await gateAt(() => world.nowMs + aheadMs).decide(questionOf(), all)).permitted.length;
    expect([await permitted(hourMs - minuteMs), await permitted(hourMs)]).toEqual([2, 0]);
  });
});
