/** To whom a node connects, and what it takes from there. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { Authority } from '../../packages/cli/src/network/certificates.ts';
import { exchangeOnce, pinOf, UnfitAnswer, type WireRequest } from '../../packages/server/src/peers/connection.ts';
import { networkOf, networksFrom, type PeerPolicy, parseEndpoint } from '../../packages/server/src/peers/endpoint.ts';

const authority = Authority.create('Good', Date.now());
const policy: PeerPolicy = { networks: ['loopback'], plain: false, ca: authority.certificate };
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

function listen(server: Server): Promise<number> {
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const secure = (listener: RequestListener, { certificate, key } = authority.certify('node', '127.0.0.1', Date.now())) =>
  listen(https.createServer({ cert: certificate, key }, listener));

const wire = (changes: Partial<WireRequest> = {}): WireRequest => ({
  ...{ method: 'GET', path: '/', headers: {}, timeMsMax: 30_000, answerBytesMax: 1_000, ...changes },
});

function ask(text: string, changes: Partial<WireRequest> = {}, under: PeerPolicy = policy) {
  const endpoint = parseEndpoint(text, under);
  if (endpoint === undefined) throw new Error(`unfit: ${text}`);
  return exchangeOnce(endpoint, under, wire(changes));
}

describe('R-REC-5 addresses of members', () => {
  test.each<[string, string | undefined]>([
    ['127.0.0.1', 'loopback'],
    ['127.255.0.9', 'loopback'],
    ['::1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd00::1', 'private'],
    ['8.8.8.8', 'public'],
    ['2001:db8::1', 'public'],
    ['0.0.0.0', undefined],
    ['169.254.169.254', undefined],
    ['fe80::1', undefined],
    ['224.0.0.1', undefined],
    ['255.255.255.255', undefined],
    ['::', undefined],
    ['::ffff:127.0.0.1', undefined],
    ['::ffff:10.0.0.1', undefined],
    ['64:ff9b::7f00:1', undefined],
    ['localhost', undefined],
  ])('%s is %s', (address, kind) => expect(networkOf(address)).toBe(kind));

  test('a node reaches its own kind of network, and nothing nearer to itself than that', () => {
    expect(networksFrom('127.0.0.1')).toEqual(['loopback']);
    expect(networksFrom('localhost')).toEqual(['loopback']);
    expect(networksFrom('10.0.0.1')).toEqual(['private', 'public']);
    expect(networksFrom('0.0.0.0')).toEqual(['public']);
    expect(networksFrom('node.example')).toEqual(['public']);
  });

  test.each([
    '',
    'no address',
    'ftp://127.0.0.1',
    'file:///etc/passwd',
    'https://127.0.0.1/admin',
    'https://127.0.0.1/?a=b',
    'https://user@127.0.0.1',
    'https://:secret@127.0.0.1',
    'https://127.0.0.1/#top',
    `https://127.0.0.1/#sha256-${'A'.repeat(42)}`,
    'https://10.0.0.1',
    'https://8.8.8.8',
    'https://169.254.169.254',
    'https://[::ffff:127.0.0.1]',
    'https://0x0a000001',
    'https://0',
    'http://127.0.0.1:80',
    'http://localhost:80',
  ])('%s is none', (text) => expect(parseEndpoint(text, policy)).toBeUndefined());

  test('plain HTTP goes to this machine alone, and only when it was said', () => {
    const plain = { ...policy, networks: ['loopback', 'private', 'public'] as const, plain: true };
    expect(parseEndpoint('http://127.0.0.1:8080', plain)).toMatchObject({ isPlain: true, port: 8080 });
    expect(parseEndpoint('http://[::1]', plain)).toMatchObject({ isPlain: true, port: 80 });
    for (const text of ['http://10.0.0.1', 'http://8.8.8.8', 'http://node.example', 'http://localhost']) {
      expect(parseEndpoint(text, plain)).toBeUndefined();
    }
    expect(parseEndpoint('https://node.example', plain)).toMatchObject({ isPlain: false, port: 443 });
  });

  test('a name that leads where this node does not go is not connected to', async () => {
    let calls = 0;
    const port = await secure((_request, response) => {
      calls += 1;
      response.end();
    });
    await expect(
      ask(`https://localhost:${port}`, {}, { ...policy, networks: ['public', 'private'] }),
    ).rejects.toMatchObject({ code: 'EACCES' });
    expect(calls).toBe(0);
  });
});

describe('R-REC-5 answers of members', () => {
  test('comes whole, over TLS that the authority vouches for', async () => {
    const port = await secure((request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ path: request.url, authorization: request.headers.authorization }));
    });
    const answer = await ask(`https://127.0.0.1:${port}`, { path: '/a', headers: { authorization: 'Bearer x' } });
    expect([answer.status, answer.type]).toEqual([200, 'application/json']);
    expect(JSON.parse(Buffer.from(answer.body).toString())).toEqual({ path: '/a', authorization: 'Bearer x' });
  });

  test('no redirect is followed, to wherever it leads', async () => {
    let calls = 0;
    const target = await secure((_request, response) => {
      calls += 1;
      response.end('secret');
    });
    for (const status of [301, 302, 307, 308]) {
      const port = await secure((_request, response) => {
        response.writeHead(status, { location: `https://127.0.0.1:${target}/` });
        response.end();
      });
      await expect(ask(`https://127.0.0.1:${port}`)).rejects.toBeInstanceOf(UnfitAnswer);
    }
    expect(calls).toBe(0);
  });

  test('too much, too slow, cut off, and silence end in an error', async () => {
    const long = await secure((_request, response) => response.end('x'.repeat(2_000)));
    await expect(ask(`https://127.0.0.1:${long}`)).rejects.toBeInstanceOf(UnfitAnswer);
    // Bytes that come for ever, each within any pause: the whole has its time.
    const drip = await secure((_request, response) => {
      const timer = setInterval(() => response.write('x'), 10);
      response.on('close', () => clearInterval(timer));
    });
    await expect(ask(`https://127.0.0.1:${drip}`, { timeMsMax: 300 })).rejects.toThrow('no answer in time');
    const silent = await secure(() => undefined);
    await expect(ask(`https://127.0.0.1:${silent}`, { timeMsMax: 300 })).rejects.toThrow('no answer in time');
    const abort = new AbortController();
    const waiting = ask(`https://127.0.0.1:${silent}`, { signal: abort.signal });
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    const cut = await secure((_request, response) => {
      response.writeHead(200, { 'content-length': '500' });
      response.write('x'.repeat(100), () => response.destroy());
    });
    await expect(ask(`https://127.0.0.1:${cut}`)).rejects.toThrow();
    await expect(ask('https://127.0.0.1:1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test.each(['', `#sha256-${'A'.repeat(43)}`])(
    'who takes the connection and never says a word of TLS holds up nobody, pin "%s"',
    async (pin) => {
      const sockets = new Set<Socket>();
      const mute = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.resume();
        socket.on('close', () => sockets.delete(socket));
      });
      const address = `https://127.0.0.1:${await listen(mute)}/${pin}`;
      await expect(ask(address, { timeMsMax: 300 })).rejects.toThrow('no answer in time');
      const abort = new AbortController();
      const waiting = ask(address, { signal: abort.signal });
      setTimeout(() => abort.abort(), 50);
      await expect(waiting).rejects.toThrow();
      // A node that stops begins no more of them.
      await expect(ask(address, { signal: abort.signal })).rejects.toThrow();
      await vi.waitFor(() => expect(sockets.size).toBe(0), 30_000);
    },
  );

  test('nothing is sent to a node whose certificate is not in order', async () => {
    let calls = 0;
    const count: RequestListener = (_request, response) => {
      calls += 1;
      response.end();
    };
    const wrong = [
      Authority.create('Evil', Date.now()).certify('node', '127.0.0.1', Date.now()),
      authority.certify('node', '127.0.0.2', Date.now()),
      authority.certify('node', 'node.example', Date.now()),
      authority.certify('node', '127.0.0.1', Date.now() - 30 * 86_400_000, 86_400_000),
    ];
    for (const certified of wrong) {
      const port = await secure(count, certified);
      await expect(ask(`https://127.0.0.1:${port}`)).rejects.toThrow();
    }
    const plain = await listen(http.createServer(count));
    await expect(ask(`https://127.0.0.1:${plain}`)).rejects.toThrow();
    expect(calls).toBe(0);
  });

  test('a key that the ledger names counts without any authority, and no other key does', async () => {
    let calls = 0;
    const evil = Authority.create('Unknown', Date.now());
    const certified = evil.certify('node', 'elsewhere.example', Date.now());
    const port = await secure((_request, response) => {
      calls += 1;
      response.end('pinned');
    }, certified);
    const pin = pinOf(new X509Certificate(certified.certificate).publicKey.export({ type: 'spki', format: 'der' }));
    const answer = await ask(`https://127.0.0.1:${port}/#sha256-${pin}`);
    expect(Buffer.from(answer.body).toString()).toBe('pinned');
    const other = pinOf(createPublicKey(evil.key).export({ type: 'spki', format: 'der' }));
    await expect(ask(`https://127.0.0.1:${port}/#sha256-${other}`)).rejects.toThrow('another key');
    // Also where an authority vouches for it: the ledger's word is the narrower one.
    const vouched = await secure((_request, response) => {
      calls += 1;
      response.end();
    });
    await expect(ask(`https://127.0.0.1:${vouched}/#sha256-${pin}`)).rejects.toThrow('another key');
    expect(calls).toBe(1);
  });
});
