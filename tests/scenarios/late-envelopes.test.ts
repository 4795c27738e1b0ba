/** What is sealed may come long after its transaction: it is waited for, missed aloud, and taken in when it comes. */
import { sealedContext } from '@salus/api';
import { identity } from '@salus/contracts';
import { canonicalJson, type EcPublicJwk, type JsonValue, utf8 } from '@salus/protocol';
import { encodeSealed, sealPayload } from '@salus/vault';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lab } from './resources.ts';
import { minuteMs, type Patient, randomId, type Staff, World } from './world.ts';

let world: World;
let doctor: Staff;

beforeAll(async () => {
  world = await World.create();
  doctor = await world.staff('clinic', 'doctor');
});
afterAll(async () => {
  await world.close();
});

const clinic = () => ({ kind: 'organization' as const, id: world.org('clinic').profile.did });

/** A grant whose envelope is kept back; `deliver` leaves it at the node. */
async function grantWithout(patient: Patient) {
  const { node } = world;
  const id = randomId();
  const content = patient.directive(id, { grantees: [clinic()] });
  const [key] = identity.activeKeys(node.reader, world.org('hospital').profile.did, 'encrypt', node.nowMs());
  const sealed = await sealPayload({
    content: utf8(canonicalJson(content as unknown as JsonValue)),
    recipients: [key!.jwk as EcPublicJwk, patient.context.sealing.publicJwk],
    context: sealedContext(node.chain, 'consent/grant', id),
  });
  expect((await patient.submit([patient.grantMessage(id, sealed.commitment, content)])).code).toBe(0);
  const bytes = encodeSealed(sealed.envelope);
  const deliver = async (token = patient.token('POST', '/api/sealed')) => {
    expect((await world.http('POST', '/api/sealed', await token, bytes)).status).toBe(201);
  };
  return { deliver, commitment: sealed.commitment, bytes };
}

async function read(patient: Patient): Promise<number> {
  return (await world.http('GET', `/org/hospital/fhir/R4/Patient/${patient.id}`, await world.token(doctor))).status;
}

async function missing(topic: string) {
  const notices = await world.org('hospital').notices.after(topic, 0);
  return notices.filter(({ type }) => type === 'access/EnvelopeMissing');
}

/** Lets the desk look again and again, as it would while minutes pass. */
async function looks(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await world.pass(minuteMs);
    await world.desk('hospital').facts.ready();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

describe('R-CON-1 an envelope that comes after its transaction', () => {
  it('is taken in however late, and its absence is told once to patient and staff', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const { deliver } = await grantWithout(patient);
    expect(await read(patient)).toBe(404);
    await looks(16);
    expect(await read(patient)).toBe(404);
    expect((await world.desk('hospital').missing()).events).toBe(1);
    expect([(await missing(patient.did)).length, (await missing('organization')).length]).toEqual([1, 1]);
    expect(JSON.stringify(await missing(patient.did))).toContain('consent/Granted');
    await deliver();
    await expect.poll(() => read(patient)).toBe(200);
    expect(await world.desk('hospital').missing()).toEqual({ events: 0 });
  });

  it('holds up nobody who comes after it', async () => {
    const [waiting, other] = [
      await (await world.patient('hospital', [lab('a')])).link(),
      await (await world.patient('hospital', [lab('a')])).link(),
    ];
    const { deliver } = await grantWithout(waiting);
    await other.grant({ grantees: [clinic()] });
    expect(await read(other)).toBe(200);
    await deliver();
    await expect.poll(() => read(waiting)).toBe(200);
  });

  it('finds its place, though somebody else claimed its commitment many times before', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const { deliver, commitment, bytes } = await grantWithout(patient);
    const envelope = JSON.parse(Buffer.from(bytes).toString());
    for (let n = 0; n < 10; n += 1) {
      const other = await sealPayload({
        content: utf8(`junk ${n}`),
        recipients: [patient.context.sealing.publicJwk],
        context: 'none',
      });
      const claimed = { ...JSON.parse(Buffer.from(encodeSealed(other.envelope)).toString()), commitment };
      expect(Object.keys(claimed).sort()).toEqual(Object.keys(envelope).sort());
      const body = utf8(canonicalJson(claimed));
      expect((await world.http('POST', '/api/sealed', await world.token(doctor), body)).status).toBe(201);
    }
    await deliver();
    await expect.poll(() => read(patient)).toBe(200);
  });
});
