/** What goes from the node of one member to that of another: asked for, decided, delivered, and what must not happen. */
import { setTimeout as sleep } from 'node:timers/promises';
import { identity } from '@salus/contracts';
import { type Did, randomBytes, toBase64url, toHex } from '@salus/protocol';
import { createMemberToken, readOrganization, type TokenInput } from '@salus/server';
import { encodeSealed, parseSealed, sealPayload } from '@salus/vault';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Exchange, unopenedCountedMs, unopenedPerSenderMax } from '../../packages/server/src/access/exchange.ts';
import { sqliteLocation } from '../../packages/server/src/store/location.ts';
import { type Answer, Patient, randomId, type Staff } from '../scenarios/world.ts';
import { chain, freePort, type Member, Members, until } from './members.ts';

const canary = 'Quillfeatherstonehaugh';
let members: Members;
let hospital: Member;
let clinic: Member;
let payer: Member;
let doctor: Staff;
let patient: Patient;

async function staffOf(member: Member, ...roles: string[]): Promise<Staff> {
  const did = `did:salus:${toBase64url(randomBytes(20))}` as Did;
  await member.execute({ type: 'identity/registerPractitioner', did, roles });
  return { did, slug: member.slug, roles };
}

async function patientOf(member: Member): Promise<Patient> {
  const condition = {
    resourceType: 'Condition',
    id: `c-${toHex(randomBytes(6))}`,
    recordedDate: '2026-01-02',
    code: { text: canary },
    extension: [{ url: 'urn:example:dose', valueDecimal: 'DECIMAL' }],
  };
  const id = `p-${toHex(randomBytes(6))}`;
  const resources = [
    { resourceType: 'Patient', id, name: [{ family: canary, given: ['Odile'] }] },
    { ...condition, subject: { reference: `Patient/${id}` } },
  ];
  const bundle = { resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) };
  const bytes = Buffer.from(JSON.stringify(bundle).replace('"DECIMAL"', '1.50'));
  const report = await member.records().import(async function* () {
    yield new Uint8Array(bytes);
  });
  expect(report.errors).toEqual([]);
  const did = member.records().patients.byId(id)!.did;
  return await new Patient(member.world(), member.slug, id, did).link();
}

beforeAll(async () => {
  members = await Members.create();
  [hospital, clinic, payer] = ['hospital', 'clinic', 'payer'].map((slug) => members.get(slug)) as [
    Member,
    Member,
    Member,
  ];
  doctor = await staffOf(clinic, 'doctor');
  patient = await patientOf(hospital);
});
afterAll(() => members.close());

const didOf = (member: Member): Did => member.desk().did;

async function askedAt(
  member: Member,
  path: string,
  body?: unknown,
  who: Staff = doctor,
): Promise<Answer & { text: string }> {
  const token = await member.world().token(who);
  const response = await fetch(member.node.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: JSON.parse(text) };
}

const readAtHospital = (path: string): ReturnType<typeof askedAt> =>
  askedAt(clinic, `/org/clinic/members/hospital/fhir/R4/${path}`);

async function history(): Promise<Answer & { text: string }> {
  return await askedAt(clinic, '/org/clinic/history', { contexts: [{ custodian: 'hospital', patient: patient.did }] });
}

async function ask(): Promise<string> {
  const body = { custodian: 'hospital', patient: patient.did, purpose: 'TREAT', what: { all: true }, note: canary };
  const { status, body: answer } = await askedAt(clinic, '/org/clinic/access-requests', body);
  expect(status).toBe(202);
  return answer.id;
}

async function clinicPending(): Promise<number> {
  const rows = await clinic
    .store()
    .read.selectFrom('peer_outbox')
    .innerJoin('peer_links', 'peer_links.peer', 'peer_outbox.peer')
    .whereRef('sequence', '>', 'acknowledged')
    .select('sequence')
    .execute();
  return rows.length;
}

const hasRequest = async (id: string): Promise<boolean> =>
  (await hospital.records().content.get('request', id)) !== undefined;
const haveAll = async (ids: readonly string[]) => (await Promise.all(ids.map(hasRequest))).every(Boolean);

interface Delivery {
  epoch: string;
  sequence: number;
  oldest: number;
  envelope: unknown;
}

async function envelope(): Promise<unknown> {
  const [key] = identity.activeKeys(clinic.node.reader, didOf(hospital), 'encrypt', Date.now());
  const sealed = await sealPayload({
    content: randomBytes(32),
    recipients: [key!.jwk as Parameters<typeof sealPayload>[0]['recipients'][number]],
    context: 'test',
  });
  return JSON.parse(Buffer.from(encodeSealed(sealed.envelope)).toString());
}

/** The bytes of an envelope as its sender writes them. */
function parsedSealed(value: unknown): Uint8Array {
  return encodeSealed(parseSealed(Buffer.from(JSON.stringify(value))));
}

const delivering = { method: 'POST', path: '/org/hospital/peers/sealed' };

function tokenOf(slug: string, changes: Partial<TokenInput> = {}): Promise<string> {
  const { keys } = readOrganization(members.get(slug).dataDir, slug);
  const subject = { kind: 'system' as const };
  return keys.token({ chain, subject, forSlug: 'hospital', boundTo: delivering, nowMs: Date.now(), ...changes });
}

async function deliver(delivery: Partial<Delivery>, token: string): Promise<Answer> {
  const whole = { epoch: randomId(), sequence: 1, oldest: 1, envelope: await envelope(), ...delivery };
  const response = await fetch(hospital.node.url + delivering.path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(whole),
  });
  return { status: response.status, body: await response.json() };
}

describe('R-LED-5 R-REC-1 R-CON-2 from member to member', () => {
  test('nothing is learnt before the patient said yes; then the custodian decides, records and releases', async () => {
    const nobody = await readAtHospital('Patient/nobody-of-this-name');
    const before = await readAtHospital(`Patient/${patient.id}`);
    expect([before.status, before.text]).toEqual([404, nobody.text]);
    expect((await history()).body).toEqual({
      custodians: [{ slug: 'hospital', hosted: false, entries: 0 }],
      entries: [],
    });

    const id = await ask();
    await until(() => hasRequest(id), 'the request at the custodian');
    expect(await patient.decide(id, 'permit')).toBe(0);
    const read = await readAtHospital(`Patient/${patient.id}`);
    expect([read.status, read.body.id]).toEqual([200, patient.id]);
    const all = await readAtHospital(`Patient/${patient.id}/$everything`);
    expect(all.body.entry.map(({ resource }: { resource: { resourceType: string } }) => resource.resourceType)).toEqual(
      expect.arrayContaining(['Patient', 'Condition']),
    );
    const joined = await history();
    expect(joined.body.custodians).toEqual([{ slug: 'hospital', hosted: false, entries: 2 }]);
    // Decimals keep their precision on the way through two nodes.
    expect(joined.text).toContain('"valueDecimal":1.50');

    const { body } = await patient.http('GET', '/org/hospital/accounting');
    expect(body.complete).toBe(true);
    const released = body.entries.filter(
      ({ disclosure }: { disclosure: { outcome: string } }) => disclosure.outcome === 'released',
    );
    expect(released.length).toBeGreaterThanOrEqual(3);
    for (const { disclosure, transaction } of released) {
      expect(disclosure.requester).toMatchObject({ organization: didOf(clinic), person: doctor.did });
      expect(await hospital.node.ledger.transaction(transaction)).toMatchObject({ code: 0, types: ['access/release'] });
    }
  });

  test('R-CON-4 an emergency at one member opens a window at the custodian’s, and its reason is read there alone', async () => {
    const stranger = await patientOf(hospital);
    const untilMs = Date.now() + 86_400_000;
    const licence = { practitioner: doctor.did, profession: 'doctor', status: 'active', untilMs };
    await members.get('regulator').execute({ type: 'identity/setLicence', ...licence });
    expect((await readAtHospital(`Patient/${stranger.id}`)).status).toBe(404);
    const body = { custodian: 'hospital', patient: stranger.did, reasonCode: 'ETREAT', reasonText: canary };
    const { status, body: opened } = await askedAt(clinic, '/org/clinic/break-glass', body);
    expect(status).toBe(201);
    await until(async () => (await readAtHospital(`Patient/${stranger.id}`)).status === 200, 'the window');
    const glassAt = (member: Member) => member.records().content.get('glass', opened.id);
    await until(async () => (await glassAt(hospital)) !== undefined, 'the reason');
    expect(await glassAt(hospital)).toMatchObject({ reasonText: canary });
    expect(await glassAt(clinic)).toBeUndefined();
  });

  test('somebody of the custodian’s own is not served by that way, and a search in an address not at all', async () => {
    const token = await hospital.world().token(await staffOf(hospital, 'doctor'));
    const other = await fetch(`${clinic.node.url}/org/clinic/members/hospital/fhir/R4/Patient/${patient.id}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(other.status).toBe(403);
    for (const path of ['Patient', `Patient/${patient.id}/_history`, 'metadata', 'Patient/..', 'a/b/c/d/e']) {
      expect((await readAtHospital(path)).status).toBe(404);
    }
    expect((await askedAt(clinic, '/org/clinic/members/nobody/fhir/R4/Patient/1')).body.code).toBe(792);
  });

  test('logs, addresses and notices of both nodes name nobody', () => {
    const lines = [...hospital.logLines, ...clinic.logLines].join('\n');
    expect(lines).toContain('peers/sealed');
    expect(lines).not.toContain(canary);
    expect(lines).not.toContain(patient.did);
  });
});

describe('R-LED-8 no delivery is lost', () => {
  test('a receiver that is down gets it when it is back, whatever the sender went through meanwhile', async () => {
    await hospital.stop();
    const ids = [await ask(), await ask(), await ask()];
    expect((await history()).body.custodians).toEqual([
      { slug: 'hospital', hosted: false, reached: false, entries: 0 },
    ]);
    expect((await readAtHospital(`Patient/${patient.id}`)).body.code).toBe(794);
    await clinic.stop();
    await clinic.start();
    await hospital.start();
    await until(() => haveAll(ids), 'what was sent while it was down');
  });

  test('a clock that is ten seconds off, ahead or behind, stops neither reading nor delivering', async () => {
    await patient.grant({ grantees: [{ kind: 'person', id: doctor.did }] });
    for (const clockAheadMs of [10_000, -10_000]) {
      await clinic.stop();
      await clinic.start({ clockAheadMs });
      const token = await readOrganization(clinic.dataDir, 'clinic').keys.token({
        ...{ chain, subject: { kind: 'practitioner', id: doctor.did }, roles: ['doctor'], purpose: 'TREAT' },
        nowMs: Date.now() + clockAheadMs,
      });
      const response = await fetch(`${clinic.node.url}/org/clinic/members/hospital/fhir/R4/Patient/${patient.id}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(response.status).toBe(200);
    }
    await clinic.stop();
    await clinic.start();
    const id = await ask();
    await until(() => hasRequest(id), 'the request');
  });

  test('a receiver that was restored from a backup gets again what came since, without anything new to send', async () => {
    const id = await ask();
    await until(() => hasRequest(id), 'the request');
    const upTo = async (): Promise<number> => {
      const query = hospital.store().read.selectFrom('peer_inbox').select('up_to').where('peer', '=', didOf(clinic));
      return (await query.executeTakeFirstOrThrow()).up_to;
    };
    await until(async () => (await clinicPending()) === 0, 'its confirmation');
    const before = await upTo();
    await hospital.store().commit(async (tx) => {
      const query = tx.updateTable('peer_inbox').set({ up_to: before - 2 });
      await query.where('peer', '=', didOf(clinic)).execute();
    });
    await hospital.stop();
    await hospital.start();
    await until(async () => (await upTo()) === before, 'what it had before');
  });

  test('a custodian whose ledger was lost and began with a snapshot misses no request and no emergency', async () => {
    const stranger = await patientOf(hospital);
    const licence = {
      practitioner: doctor.did,
      profession: 'doctor',
      status: 'active',
      untilMs: Date.now() + 86_400_000,
    };
    await members.get('regulator').execute({ type: 'identity/setLicence', ...licence });
    await hospital.stop();
    const id = await ask();
    const body = { custodian: 'hospital', patient: stranger.did, reasonCode: 'ETREAT', reasonText: canary };
    expect((await askedAt(clinic, '/org/clinic/break-glass', body)).status).toBe(201);
    await hospital.start({ blocksFrom: clinic.node.ledger.head().height + 1 });
    await clinic.execute({ type: 'kernel/stamp', digest: toBase64url(randomBytes(32)) });
    await until(() => hasRequest(id), 'the request that is in no block here');
    expect((await readAtHospital(`Patient/${stranger.id}`)).status).toBe(200);
    const notices = await hospital.node.organizations.get('hospital')!.notices.after('organization', 0);
    expect(notices.filter(({ type }) => type === 'ledger/Gap')).toHaveLength(1);
    await hospital.stop();
    await hospital.start();
  });

  test('an address that changes on the ledger is used from the next block on', async () => {
    await hospital.stop();
    const id = await ask();
    hospital.port = await freePort();
    await hospital.start();
    expect(await hasRequest(id)).toBe(false);
    const endpoint = `https://127.0.0.1:${hospital.port}`;
    await hospital.execute({ type: 'identity/updateOrganisation', endpoint });
    await until(() => hasRequest(id), 'the request at the new address');
    const forbidden = [
      'http://127.0.0.1:9',
      'https://169.254.169.254',
      'https://10.0.0.1',
      'https://u:p@127.0.0.1',
      '',
    ];
    for (const unfit of forbidden) {
      await hospital.execute({ type: 'identity/updateOrganisation', endpoint: unfit });
      expect((await readAtHospital(`Patient/${patient.id}`)).body.code, unfit).toBe(793);
    }
    await hospital.execute({ type: 'identity/updateOrganisation', endpoint });
    expect((await readAtHospital('Patient/nobody-of-this-name')).status).toBe(404);
  });
});

describe('R-IDN-1 R-LED-5 who may deliver', () => {
  test('each token is for one member, one request and one use, and runs out', async () => {
    const good = await tokenOf('payer');
    expect((await deliver({}, good)).status).toBe(200);
    const cases: [code: number, token: string][] = [
      [628, good],
      [623, await tokenOf('payer', { forSlug: 'clinic' })],
      [623, await tokenOf('payer', { chain: 'sandbox-other' })],
      [622, await tokenOf('payer', { nowMs: Date.now() - 120_000, lifeMs: 60_000 })],
      [627, await tokenOf('payer', { boundTo: { ...delivering, path: '/org/hospital/peers/history' } })],
      [627, await tokenOf('payer', { boundTo: { ...delivering, method: 'GET' } })],
      // Without a request of its own, from the house itself, and for a person: none of them is another member's node.
      [626, await tokenOf('payer', { boundTo: undefined })],
      [626, await tokenOf('hospital')],
      [626, await tokenOf('payer', { subject: { kind: 'practitioner', id: doctor.did } })],
    ];
    for (const [code, token] of cases) expect((await deliver({}, token)).body.code).toBe(code);
    // What was used before the node was started again stays used.
    const early = await tokenOf('payer', { nowMs: Date.now() - 10_000 });
    await hospital.stop();
    await hospital.start();
    expect((await deliver({}, early)).body.code).toBe(628);
  });

  test('no key but the registered one counts, and it counts until it is revoked', async () => {
    const stolen = readOrganization(payer.dataDir, 'payer').keys;
    const foreign = readOrganization(clinic.dataDir, 'clinic').keys.all.find(
      ({ purpose }) => purpose === 'authenticate',
    )!;
    const [own] = stolen.all.filter(({ purpose }) => purpose === 'authenticate');
    const forged = await createMemberToken({
      kid: `${didOf(payer)}#${own!.name}`,
      privateJwk: foreign.privateJwk,
      organization: didOf(payer),
      chain,
      subject: { kind: 'system' },
      forSlug: 'hospital',
      boundTo: delivering,
      nowMs: Date.now(),
    });
    expect((await deliver({}, forged)).body.code).toBe(625);
    await payer.execute({ type: 'identity/revokeKey', participant: didOf(payer), name: own!.name, reason: 'stolen' });
    expect((await deliver({}, await tokenOf('payer'))).body.code).toBe(624);
  });

  test('what is no envelope is passed over and holds up nothing; repeated and overtaken ones move no cursor', async () => {
    const epoch = randomId();
    const place = (sequence: number): Partial<Delivery> => ({ epoch, sequence, oldest: 1 });
    const send = async (delivery: Partial<Delivery>): Promise<Answer> =>
      await deliver(delivery, await tokenOf('regulator'));
    expect((await send(place(1))).body).toEqual({ upTo: 1 });
    for (const wrong of [null, 7, 'x', [], {}, { format: 'salus-sealed/1', recipients: [[[[]]]] }]) {
      const { status, body } = await send({ ...place(2), envelope: wrong });
      expect([status, body.upTo, body.refused > 0]).toEqual([200, 2, true]);
    }
    expect((await send(place(4))).body).toEqual({ upTo: 2 });
    expect((await send(place(1))).body).toEqual({ upTo: 2 });
    expect((await send(place(3))).body).toEqual({ upTo: 3 });
    expect((await send(place(4))).body).toEqual({ upTo: 4 });
    // The sender no longer has 5 to 8: that is told, once, and it goes on.
    expect((await send({ epoch, sequence: 9, oldest: 9 })).body).toEqual({ upTo: 9 });
    const notices = await hospital.node.organizations.get('hospital')!.notices.after('organization', 0);
    expect(notices.filter(({ type }) => type === 'peers/Gap').map(({ data }) => data)).toEqual([
      { member: didOf(members.get('regulator')), from: 5, to: 8 },
    ]);
  });

  test('what of one member nobody opens has a bound: refused for now, nothing is lost, nobody else is held up', async () => {
    let nowMs = Date.now();
    const exchange = await Exchange.open(sqliteLocation, hospital.dataDir, () => nowMs);
    const sample = (await envelope()) as Record<string, unknown>;
    const made = (): Uint8Array => parsedSealed({ ...sample, commitment: toBase64url(randomBytes(32)) });
    /** What of one sender finds room. */
    const fill = async (sender: Did): Promise<Uint8Array[]> => {
      const all = Array.from({ length: unopenedPerSenderMax }, made);
      const put = await Promise.allSettled(all.map((one) => exchange.put(one, sender)));
      return all.filter((_one, index) => put[index]?.status === 'fulfilled');
    };
    const regulator = didOf(members.get('regulator'));
    const [first] = (await fill(regulator)) as [Uint8Array];
    const delivery = { epoch: randomId(), sequence: 1, oldest: 1, envelope: await envelope() };
    const send = async (changes = {}): Promise<Answer> =>
      await deliver({ ...delivery, ...changes }, await tokenOf('regulator'));
    expect(await send()).toMatchObject({ status: 503, body: { code: 796 } });
    // Neither kept nor passed over: the next one overtakes nothing, what is here already is no news, others are taken.
    const { commitment } = delivery.envelope as { commitment: string };
    expect(await exchange.get(commitment)).toEqual([]);
    expect((await send({ envelope: JSON.parse(Buffer.from(first).toString()) })).body).toEqual({ upTo: 1 });
    expect((await send({ sequence: 2 })).status).toBe(503);
    const other = await ask();
    await until(() => hasRequest(other), 'the clinic’s');
    // A day later they no longer count, though they are all still there.
    nowMs += unopenedCountedMs;
    await exchange.put(made(), regulator);
    nowMs -= unopenedCountedMs;
    expect(await exchange.get(JSON.parse(Buffer.from(first).toString()).commitment)).toHaveLength(1);

    // Of an honest sender: what was refused comes when there is room, and what is opened takes none.
    const mine = await fill(didOf(clinic));
    expect(mine).toHaveLength(unopenedPerSenderMax);
    const late = [await ask(), await ask(), await ask()];
    await until(async () => (await clinicPending()) === late.length, 'the refusal');
    await sleep(500);
    const arrived = await Promise.all(late.map(hasRequest));
    expect([await clinicPending(), ...arrived]).toEqual([late.length, false, false, false]);
    await exchange.opened(JSON.parse(Buffer.from(mine[0]!).toString()).commitment, mine[0]!);
    await until(async () => (await haveAll(late)) && (await clinicPending()) === 0, 'everything');
    await exchange.close();
  });

  test('the routes between nodes open nothing for anybody else', async () => {
    const world = hospital.world();
    const body = { patient: patient.did };
    const asked = await world.http('POST', '/org/hospital/peers/history', await clinic.world().token(doctor), body);
    expect(asked.body.code).toBe(626);
    expect((await world.http('POST', '/org/hospital/peers/history', undefined, body)).body.code).toBe(620);
  });
});
