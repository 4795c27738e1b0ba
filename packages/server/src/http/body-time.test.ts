import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type App, createApp } from './app.ts';
import { bodyBytesPerPeriodMin, bodyPeriodMs } from './body-time.ts';
import { createLog } from './log.ts';

const periods = 10;
/** Part of a body may come with the head, before the first period begins. */
const enoughBytes = 2 * bodyBytesPerPeriodMin;
let app: App;
let received: number;
let socket: Socket;
let heard: string;

beforeEach(async () => {
  // The periods pass when the test says so; sockets work in real time.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  received = 0;
  heard = '';
  const log = createLog('info', { write: () => undefined });
  app = await createApp({ version: '0', log, rateLimitPerMinute: 0 });
  app.http.addContentTypeParser('application/x-bytes', (_request, body, done) => done(null, body));
  app.http.post('/stream', { bodyLimit: periods * enoughBytes }, async (request) => {
    for await (const chunk of request.body as AsyncIterable<Uint8Array>) received += chunk.length;
    return { received };
  });
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  socket = connect((app.http.server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
});

afterEach(async () => {
  socket.destroy();
  await app.close();
  vi.useRealTimers();
});

function begin(length: number): void {
  const head = ['POST /stream HTTP/1.1', 'host: x', 'connection: close', 'content-type: application/x-bytes'];
  socket.write(`${[...head, `content-length: ${length}`].join('\r\n')}\r\n\r\n`);
}

/** Resolves when all that was written has been read by the handler. */
async function arrive(bytes: number): Promise<void> {
  const goal = received + bytes;
  socket.write(Buffer.alloc(bytes));
  while (received < goal) await new Promise((resolve) => setImmediate(resolve));
}

const ended = (): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

describe('R-REC-4 the time that a body may take', () => {
  test('an upload that goes on arrives, however many periods it takes', async () => {
    begin(periods * enoughBytes);
    const closed = ended();
    for (let period = 0; period < periods; period += 1) {
      await arrive(enoughBytes);
      vi.advanceTimersByTime(bodyPeriodMs);
    }
    await closed;
    expect(heard).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(heard).toContain(`{"received":${periods * enoughBytes}}`);
  });

  test('one that brings too little in a period is ended with 408', async () => {
    begin(2 * enoughBytes);
    const closed = ended();
    await arrive(enoughBytes);
    vi.advanceTimersByTime(bodyPeriodMs);
    await arrive(10);
    vi.advanceTimersByTime(bodyPeriodMs);
    await closed;
    expect(heard).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(heard).toContain('"code":612');
  });
});
