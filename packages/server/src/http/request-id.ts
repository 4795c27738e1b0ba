import { randomFillSync } from 'node:crypto';

const idBytes = 12;
const pool = Buffer.alloc(idBytes * 512);
let at = pool.length;

/** 96 random bits as text: names a request in answers and logs, and says nothing about it. */
export function requestId(): string {
  if (at === pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  const text = pool.toString('base64url', at, at + idBytes);
  at += idBytes;
  return text;
}
