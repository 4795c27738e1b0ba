import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { guardedLookup, type PeerEndpoint, type PeerPolicy } from './endpoint.ts';

/** What was sent, and what may come back. */
export interface WireRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  /** From the first step of the connection to the last byte. */
  timeMsMax: number;
  answerBytesMax: number;
  /** Ends it before its time: the node stops. */
  signal?: AbortSignal;
}

export interface WireAnswer {
  status: number;
  type: string;
  /** What time it is at the other end, by its own word. */
  dateMs: number;
  body: Uint8Array;
}

/** An answer that is none: another protocol, a redirect, too much. */
export class UnfitAnswer extends Error {}

const redirectMin = 300;
const redirectMax = 399;
const headerBytesMax = 16_384;
const oldestTls = 'TLSv1.2';
const noAnswerInTime = 'no answer in time';

/** SHA-256 of a public key as certificates carry it (RFC 7469 §2.4), base64url. */
export function pinOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('base64url');
}

/** The part of Node's `http.request` callback that this needs. */
type Connected = (error: Error | null, socket: tls.TLSSocket) => void;

/**
 * A connection whose other end has the key that the ledger names; the request is not written before that is known. Until
 * then the request has no socket, and ending it ends nothing: the connection has the time and the signal itself.
 */
function connectPinned(endpoint: PeerEndpoint, policy: PeerPolicy, wire: WireRequest, connected: Connected): undefined {
  const { host, port, pin } = endpoint;
  const servername = isIP(host) === 0 ? host : '';
  const lookup = guardedLookup(policy);
  const socket = tls.connect({ host, port, servername, lookup, rejectUnauthorized: false, minVersion: oldestTls });
  const giveUp = (): void => void socket.destroy(new Error('given up before it was connected'));
  const timer = setTimeout(() => socket.destroy(new Error(noAnswerInTime)), wire.timeMsMax);
  const settled = (): void => {
    clearTimeout(timer);
    wire.signal?.removeEventListener('abort', giveUp);
  };
  if (wire.signal?.aborted === true) giveUp();
  wire.signal?.addEventListener('abort', giveUp);
  // Stays: an error without a listener would end the process. Whoever waits takes the first word only.
  socket.on('error', (error) => connected(error, socket));
  socket.once('close', settled);
  socket.once('secureConnect', () => {
    const { pubkey } = socket.getPeerCertificate();
    if (pubkey === undefined || pinOf(certifiedKey(socket)) !== pin) {
      socket.destroy(new Error('another key than the ledger names'));
      return;
    }
    settled();
    connected(null, socket);
  });
  return undefined;
}

function certifiedKey(socket: tls.TLSSocket): Uint8Array {
  const certificate = socket.getPeerX509Certificate();
  return new Uint8Array(certificate?.publicKey.export({ type: 'spki', format: 'der' }) ?? []);
}

function open(endpoint: PeerEndpoint, policy: PeerPolicy, request: WireRequest): http.ClientRequest {
  const { host, port, isPlain, pin } = endpoint;
  const { method, path, headers, signal } = request;
  const common = { host, port, method, path, headers, maxHeaderSize: headerBytesMax, ...(signal && { signal }) };
  const options: http.RequestOptions = { ...common, agent: false, lookup: guardedLookup(policy) };
  if (isPlain) return http.request(options);
  if (pin === undefined)
    return https.request({ ...options, minVersion: oldestTls, ...(policy.ca && { ca: policy.ca }) });
  const createConnection = (_options: unknown, connected: unknown): undefined =>
    connectPinned(endpoint, policy, request, connected as Connected);
  // An agent would make connections in its own way.
  return https.request({ ...common, createConnection });
}

/** One request and its answer. Follows no redirect, and takes no more and waits no longer than it was told. */
export function exchangeOnce(endpoint: PeerEndpoint, policy: PeerPolicy, wire: WireRequest): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const request = open(endpoint, policy, wire);
    const timer = setTimeout(() => request.destroy(new Error(noAnswerInTime)), wire.timeMsMax);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    const refuse = (why: string): void => {
      end(() => reject(new UnfitAnswer(why)));
      request.destroy();
    };
    request.on('error', (error) => end(() => reject(error)));
    request.on('response', (response) => {
      const { statusCode: status = 0, headers } = response;
      if (status >= redirectMin && status <= redirectMax) return refuse('redirect');
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > wire.answerBytesMax) refuse('too long');
        else chunks.push(chunk);
      });
      response.on('error', (error) => end(() => reject(error)));
      response.on('close', () => {
        if (!response.complete) return end(() => reject(new Error('the answer ended before its end')));
        const dateMs = Date.parse(headers.date ?? '');
        const body = new Uint8Array(Buffer.concat(chunks));
        end(() => resolve({ status, type: headers['content-type'] ?? '', dateMs, body }));
      });
      return undefined;
    });
    request.end(wire.body);
  });
}
