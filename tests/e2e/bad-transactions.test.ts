import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealNode, sleep, temporaryDirectory } from '../crash/real-node.ts';
import {
  envelope,
  type Json,
  payloadOf,
  type RawOptions,
  type RawSigner,
  signerOf,
  stamp,
  stranger,
} from './raw-transaction.ts';

const settleMs = 1_000;
const { path: dataDir, remove } = temporaryDirectory('bad');
let node: RealNode;
let chain = '';
let hospital: RawSigner;
let clinic: RawSigner;
let revoked: RawSigner;
let replayedId = '';

type Body = string | Uint8Array;

async function post(body: Body | Json, type = 'application/jose+json'): Promise<{ status: number; body: Json }> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(`${node.url}/api/transactions`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: isRaw ? (body as string) : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

const of = (options: RawOptions, signer = hospital): Json => envelope(chain, signer, options);
const withMessage = (message: Json, signer = hospital): Json => of({ payload: payloadOf([message]) }, signer);
const withPayload = (more: Json): Json => of({ payload: payloadOf([stamp()], more) });
const withText = (change: (text: string) => string): Json =>
  of({ payloadBytes: change(JSON.stringify(payloadOf([stamp()]))) });
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** The block that proves the last transaction comes by itself. */
async function settled(): Promise<void> {
  for (let before = -1; ; ) {
    const { height } = await node.status();
    if (height === before) return;
    before = height;
    await sleep(settleMs);
  }
}

beforeAll(async () => {
  node = await RealNode.start(dataDir, {}, ['--patients', '0']);
  ({ chain } = await node.status());
  hospital = signerOf(dataDir, 'hospital');
  clinic = signerOf(dataDir, 'clinic');
  const second = stranger('sign-9');
  revoked = { ...second, kid: `${hospital.did}#sign-9`, did: hospital.did };
  const key = { name: 'sign-9', purpose: 'sign', suite: 'ES256', jwk: second.jwk };
  for (const message of [
    { type: 'identity/addKey', participant: hospital.did, key },
    { type: 'identity/revokeKey', participant: hospital.did, name: 'sign-9', reason: 'lost' },
  ]) {
    expect((await post(withMessage(message))).body).toMatchObject({ code: 0 });
  }
  const used = payloadOf([stamp()]);
  replayedId = String(used.id);
  expect((await post(of({ payload: used }))).status).toBe(200);
  await settled();
});

afterAll(async () => {
  await node.stop();
  remove();
});

/** Name, number, and the body; functions, because the node's chain and keys are not known before it runs. */
const cases: [name: string, code: number, body: () => Body | Json][] = [
  ['no JSON', 4, () => 'eyJhbGciOiJFUzI1NiJ9.e30.AAAA'],
  ['empty', 4, () => ' '],
  ['a truncated envelope', 4, () => JSON.stringify(of({})).slice(0, -20)],
  ['bytes that are no UTF-8', 2, () => Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ['a byte order mark', 3, () => `\ufeff${JSON.stringify(of({}))}`],
  ['an array', 10, () => '[]'],
  ['a missing member', 10, () => ({ ...of({}), signature: undefined })],
  ['a member too many', 10, () => ({ ...of({}), extra: 1 })],
  ['an unprotected header', 11, () => ({ ...of({}), header: { kid: hospital.kid } })],
  ['a duplicate member of the envelope', 5, () => `{"payload":"",${JSON.stringify(of({})).slice(1)}`],
  ['a wrong type in the envelope', 10, () => ({ ...of({}), payload: 7 })],
  ['an envelope nested too deeply', 8, () => nested(40)],
  ['padding in base64url', 26, () => ({ ...of({}), payload: `${of({}).payload}==` })],
  ['alg none', 13, () => of({ header: { alg: 'none' } })],
  ['another algorithm', 13, () => of({ header: { alg: 'ES384' } })],
  ['another typ', 14, () => of({ header: { typ: 'JWT' } })],
  ['a critical header', 15, () => of({ header: { crit: ['b64'], b64: false } })],
  ['a header too much', 12, () => of({ header: { jwk: {} } })],
  [
    'a duplicate member of the header',
    5,
    () => of({ headerText: `{"alg":"none","alg":"ES256","typ":"salus-tx+jws"}` }),
  ],
  ['a kid that is none', 16, () => of({ header: { kid: 'hospital' } })],
  ['a chain that is no name', 17, () => of({ header: { chain: '../x' } })],
  ['the chain of another network', 1001, () => envelope('sandbox-000000000000', hospital)],
  ['a short signature', 22, () => ({ ...of({}), signature: 'AAAA' })],
  ['a high s', 23, () => of({ high: true })],
  ['a signature of zeros', 24, () => ({ ...of({}), signature: 'A'.repeat(86) })],
  ['the signature of other bytes', 40, () => ({ ...of({}), signature: of({}).signature })],
  ['no signatures', 20, () => ({ payload: of({}).payload, signatures: [] })],
  ['a signer who signs twice', 19, () => twice(hospital, hospital)],
  ['signers for two chains', 18, () => twice(hospital, clinic, 'sandbox-000000000000')],
  ['an unknown key of a member', 1008, () => of({ header: { kid: `${hospital.did}#sign-77` } })],
  ['an unknown participant', 1008, () => of({}, stranger())],
  ['a revoked key', 1009, () => of({}, revoked)],
  ['a key of another purpose', 1009, () => of({ header: { kid: `${hospital.did}#auth-1` } })],
  ['the key of somebody else', 40, () => of({ header: { kid: clinic.kid } })],
  ['a payload with a duplicate member', 5, () => withText((text) => text.replace('{"v":1', '{"v":1,"v":1'))],
  ['half of a surrogate pair', 6, () => withText((text) => text.replace('kernel/stamp', 'kernel/stamp\\ud800'))],
  ['a fraction', 7, () => withText((text) => text.replace('"v":1', '"v":1.5'))],
  ['an exponent', 7, () => withText((text) => text.replace('"v":1', '"v":1e0'))],
  [
    'a number beyond 2^53',
    7,
    () => withText((text) => text.replace(/"validUntil":\d+/, '"validUntil":9007199254740993')),
  ],
  ['a payload nested too deeply', 8, () => withText((text) => text.replace('"v":1', `"v":${nested(20)}`))],
  ['a payload that is no object', 30, () => of({ payloadBytes: '[]' })],
  ['a payload member too many', 30, () => withPayload({ memo: 'x' })],
  ['another payload version', 31, () => withPayload({ v: 2 })],
  ['an id that is none', 32, () => withPayload({ id: 'short' })],
  ['an id of a wrong type', 32, () => withPayload({ id: 7 })],
  ['an end that is text', 33, () => withPayload({ validUntil: 'tomorrow' })],
  ['no messages', 34, () => withPayload({ messages: [] })],
  ['too many messages', 35, () => withPayload({ messages: Array.from({ length: 65 }, stamp) })],
  ['a message that is text', 36, () => withPayload({ messages: ['stamp'] })],
  ['a message type of another form', 37, () => withPayload({ messages: [{ type: 'stamp' }] })],
  ['a window that has passed', 1002, () => withPayload({ validUntil: Date.now() - 3_600_000 })],
  ['a window too long', 1003, () => withPayload({ validUntil: Date.now() + 3_600_000 })],
  ['an id that was used', 1004, () => withPayload({ id: replayedId })],
  ['an unknown message', 1005, () => withMessage({ type: 'nobody/knows' })],
  ['a member of a wrong type', 1007, () => withMessage({ type: 'kernel/stamp', digest: 7 })],
  ['a missing member of a message', 1007, () => withMessage({ type: 'kernel/stamp' })],
  ['a member too many in a message', 1007, () => withMessage({ ...stamp(), note: 'x' })],
  ['a prototype as a member', 1007, () => withText((text) => text.replace('"type"', '"__proto__":{},"type"'))],
];

function twice(first: RawSigner, second: RawSigner, other = chain): Json {
  const bytes = JSON.stringify(payloadOf([stamp()]));
  const [one, two] = [
    envelope(chain, first, { payloadBytes: bytes }),
    envelope(other, second, { payloadBytes: bytes }),
  ];
  const signatures = [one, two].map(({ protected: header, signature }) => ({ protected: header, signature }));
  return { payload: one.payload, signatures };
}

describe('R-LED-1 R-IDN-1 bad transactions over HTTP are refused with their number and change nothing', () => {
  it.each(cases)('%s: %i', async (_name, code, body) => {
    const before = await node.status();
    const answer = await post(body());
    expect(answer.body).toMatchObject({ code, type: `urn:salus:error:${code}` });
    expect(String(answer.body.advice ?? '').length).toBeGreaterThan(10);
    expect([400, 422]).toContain(answer.status);
    const after = await node.status();
    expect(after.appHash).toBe(before.appHash);
  });

  it('too large for a transaction: 413, or 1 where only the parser sees it', async () => {
    const before = await node.status();
    const answer = await post(`{"payload":"${'A'.repeat(1_200_000)}"}`);
    expect([answer.status, answer.body.code]).toEqual([413, 605]);
    expect((await node.status()).appHash).toBe(before.appHash);
  });

  it('another content type: 415', async () => {
    expect(await post(of({}), 'text/plain')).toMatchObject({ status: 415, body: { code: 604 } });
  });

  it('the same bytes again: the same answer, and nothing new', async () => {
    const bytes = JSON.stringify(of({}));
    const first = await post(bytes);
    await settled();
    const before = await node.status();
    expect(await post(bytes)).toEqual(first);
    expect((await node.status()).appHash).toBe(before.appHash);
  });

  it.each<[string, number, () => Json]>([
    [
      'a key for another member',
      2006,
      () => ({ type: 'identity/revokeKey', participant: hospital.did, name: 'sign-1', reason: 'lost' }),
    ],
    [
      'a licence by no regulator',
      2007,
      () => ({
        type: 'identity/setLicence',
        practitioner: stranger().did,
        profession: 'doctor',
        status: 'active',
        untilMs: 4_102_444_800_000,
      }),
    ],
  ])('an unauthorised sender, %s: %i', async (_name, code, message) => {
    const keyBefore = await node.get<Json>(`/api/state/identity/key/${hospital.did}/sign-1`);
    const answer = await post(withMessage(message(), clinic));
    expect(answer).toMatchObject({ status: 422, body: { code } });
    const keyAfter = await node.get<Json>(`/api/state/identity/key/${hospital.did}/sign-1`);
    expect(keyAfter.value).toEqual(keyBefore.value);
  });
});
