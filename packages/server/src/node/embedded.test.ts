import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createClient, createWalletToken, routes, streamEvents } from '@salus/api';
import {
  didOfKey,
  generateSigningKey,
  ProtocolErrorCodes,
  parseAnchor,
  parseTransaction,
  randomBytes,
  signerFromJwk,
  signTransaction,
  toBase64url,
  utf8,
  verifyReceipt,
} from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readOrganization } from '../orgs/offline-keys.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { examineDirectory } from './doctor.ts';
import { createSandbox } from './sandbox.ts';
import { type RunningNode, startNode } from './start-node.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let dataDir: string;
let node: RunningNode;
beforeAll(async () => {
  temporary = temporaryDirectory();
  dataDir = join(temporary.path, 'node');
  await createSandbox(dataDir);
  node = await start();
});
afterAll(async () => {
  await node.stop();
  temporary.remove();
});

const start = () => startNode({ dataDir, port: 0, parts: [], checkResponses: true, logLevel: 'silent' });
const api = () => createClient({ baseUrl: node.url });
const hospital = () => node.organizations.get('hospital')!;
const stamp = () => ({ type: 'kernel/stamp', digest: toBase64url(randomBytes(32)) });

describe('R-LED-1 a node with the embedded engine', () => {
  test('commits a signed transaction and proves it offline', async () => {
    const message = stamp();
    const body = await hospital().sign([message]);
    const result = await api().submitTransaction({ body });
    if (!('height' in result)) throw new Error('not committed');
    expect(result).toMatchObject({ code: 0, outputs: [null] });
    const anchor = parseAnchor(await api().getAnchor());
    const key = `kernel/stamp/${hospital().profile.did}/${message.digest}`;
    const receipt = utf8(await api().getReceipt({ params: { id: result.hash }, query: { state: key } }));
    expect(verifyReceipt(receipt, anchor)).toMatchObject({
      chain: node.chain,
      height: result.height,
      transaction: { hash: result.hash, sender: hospital().profile.did },
      state: { key, present: true },
    });
  });

  test('proves presence and absence of state', async () => {
    const anchor = parseAnchor(await api().getAnchor());
    const { did } = hospital().profile;
    const get = (contract: string, key: string) =>
      api().getState({ params: { contract, key }, query: { proof: true } });
    const present = await get('identity', `participant/${did}`);
    expect(present).toMatchObject({ present: true, content: { kind: 'organisation', slug: 'hospital' } });
    expect(verifyReceipt(utf8(JSON.stringify(present.proof)), anchor).state?.present).toBe(true);
    const absent = await get('identity', 'participant/did:salus:nobody');
    expect(absent.present).toBe(false);
    expect(verifyReceipt(utf8(JSON.stringify(absent.proof)), anchor).state).toMatchObject({ present: false });
  });

  test('lists, finds and shows what was committed', async () => {
    const { hash, height } = await hospital().execute([stamp(), stamp()]);
    const { did } = hospital().profile;
    const list = await api().listTransactions({ query: { participant: did, type: 'kernel/stamp' } });
    expect(list.transactions.map((one) => one.hash)).toContain(hash);
    expect((await api().listTransactions({ query: {} })).transactions.map((one) => one.hash)).toContain(hash);
    const block = await api().getBlock({ params: { height } });
    expect(block.transactions[0]).toMatchObject({
      hash,
      types: ['kernel/stamp', 'kernel/stamp'],
      sender: did,
      code: 0,
    });
    expect((await api().getTransaction({ params: { id: hash } })).hash).toBe(hash);
  });

  test('refuses with the number and advice of the rule', async () => {
    const code = (error: unknown) => (error as { code: number }).code;
    const unknown = await api()
      .submitTransaction({ body: await hospital().sign([{ type: 'kernel/none' }]) })
      .catch(code);
    expect(unknown).toBeGreaterThanOrEqual(1_000);
    const body = await hospital().sign([stamp()]);
    const foreign = utf8(new TextDecoder().decode(body).replace(/"signature":"../, '"signature":"AA'));
    const answer = await fetch(`${node.url}/api/transactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/jose+json' },
      body: new Uint8Array(foreign),
    });
    const problem = (await answer.json()) as { code: number; advice: string };
    expect(answer.status).toBe(400);
    expect(problem.code).toBe(ProtocolErrorCodes.signatureInvalid);
    expect(problem.advice).toContain('belongs to the kid');
    expect(parseTransaction(body).chain).toBe(node.chain);
  });

  test('takes tokens by the keys on the ledger, and streams events', async () => {
    const { keys } = readOrganization(dataDir, 'hospital');
    const token = await keys.token({ chain: node.chain, subject: { kind: 'system' }, nowMs: Date.now() });
    const head = await fetch(`${node.url}/org/hospital/notices`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(head.status).toBe(200);
    for await (const event of streamEvents({ baseUrl: node.url }, routes.ledgerEvents, {
      query: { from: 'genesis' },
    })) {
      expect(event.event).toMatch(/^(event|block)$/);
      break;
    }
  });

  test('R-IDN-1 takes wallet tokens by the patient’s key on the ledger, until it is revoked', async () => {
    const { publicJwk, privateJwk } = await generateSigningKey();
    const did = didOfKey(publicJwk);
    const signer = signerFromJwk(`${did}#sign`, privateJwk);
    const key = { name: 'sign', purpose: 'sign', suite: 'ES256', jwk: publicJwk };
    const path = '/org/hospital/notices';
    const ask = async () => {
      const token = await createWalletToken({ signer, chain: node.chain, method: 'GET', path, nowMs: Date.now() });
      return await fetch(`${node.url}${path}`, { method: 'HEAD', headers: { authorization: `Bearer ${token}` } });
    };
    expect((await ask()).status).toBe(401);
    await hospital().execute([{ type: 'identity/registerPatient', did, keys: [key] }], { cosigners: [signer] });
    expect((await ask()).status).toBe(200);
    const revoke = { type: 'identity/revokeKey', participant: did, name: 'sign', reason: 'stolen' };
    const validUntil = Date.now() + 60_000;
    const body = await signTransaction({ chain: node.chain, messages: [revoke], signers: [signer], validUntil });
    await api().submitTransaction({ body });
    expect((await ask()).status).toBe(401);
  });

  test('R-LED-8 keeps everything over a restart, and the doctor finds it in order', async () => {
    const { hash } = await hospital().execute([stamp()]);
    await node.stop();
    const report = await examineDirectory(dataDir, { replay: true });
    expect(report).toMatchObject({ ok: true, problems: [] });
    expect(report.transactions).toBeGreaterThanOrEqual(3);
    node = await start();
    expect((await api().getTransaction({ params: { id: hash } })).code).toBe(0);
    expect(existsSync(join(dataDir, 'ledger'))).toBe(true);
    await expect(examineDirectory(dataDir)).rejects.toMatchObject({ code: 706 });
  });
});
