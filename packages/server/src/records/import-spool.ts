import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { makeDirectory } from '../node/data-directory.ts';
import { recordError } from './errors.ts';
import type { Openable } from './import-index.ts';

/** Inputs up to this size wait in memory, larger ones in a file. */
const memoryBytesMax = 8 * 1_048_576;
const algorithm = 'aes-256-ctr';

export interface Spooled {
  open: Openable;
  remove(): void;
}

/**
 * An input that arrives once and is read twice. On disk it lies encrypted under a key that exists in memory only, so that
 * a crash leaves nothing that anybody can read.
 */
export async function spool(source: AsyncIterable<Uint8Array>, dir: string, bytesMax: number): Promise<Spooled> {
  const iterator = limited(source, bytesMax)[Symbol.asyncIterator]();
  const start: Uint8Array[] = [];
  for (let bytes = 0; bytes <= memoryBytesMax; ) {
    const { done, value } = await iterator.next();
    if (done === true) return { open: () => Readable.from(start), remove: () => undefined };
    start.push(value);
    bytes += value.length;
  }
  return await spoolToFile(start, iterator, dir);
}

async function* limited(source: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw recordError('spoolTooLarge');
    yield chunk;
  }
}

async function spoolToFile(start: Uint8Array[], rest: AsyncIterator<Uint8Array>, dir: string): Promise<Spooled> {
  makeDirectory(dir);
  const key = randomBytes(32);
  const counter = randomBytes(16);
  const path = join(dir, `${randomBytes(16).toString('hex')}.spool`);
  const remove = (): void => rmSync(path, { force: true });
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* start;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  }
  try {
    await pipeline(all, createCipheriv(algorithm, key, counter), createWriteStream(path, { mode: 0o600, flags: 'wx' }));
  } catch (error) {
    remove();
    throw error;
  }
  async function* open(): AsyncGenerator<Uint8Array> {
    const decipher = createDecipheriv(algorithm, key, counter);
    for await (const chunk of createReadStream(path)) yield decipher.update(chunk);
  }
  return { open, remove };
}

/** Removes what a crash left: without its key nobody can read it. */
export function clearSpools(dir: string): void {
  if (!existsSync(dir)) return;
  for (const name of readdirSync(dir)) if (name.endsWith('.spool')) rmSync(join(dir, name), { force: true });
}
