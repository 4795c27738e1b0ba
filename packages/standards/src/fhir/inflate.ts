import { createGunzip, type Gunzip } from 'node:zlib';
import { StandardsErrorCodes, standardsError } from '../errors.ts';

/** Bytes of one input after decompression. */
export const inputBytesMax = 16 * 1024 * 1024 * 1024;
/** FHIR JSON compresses about 10- to 30-fold; gzip can do 1000-fold, which only a bomb uses. */
export const inflationRatioMax = 200;
/** Below this size the ratio does not matter. */
const inflationCheckedFromBytes = 64 * 1024 * 1024;

/** Compressed bytes given to zlib at once: what one piece can expand to stays small. */
const pieceBytesMax = 16 * 1024;
const headBytes = 3;

/**
 * Bytes of the input, decompressed where they start with the magic number of gzip (RFC 1952 §2.3.1; several members
 * too). Everything that could be decompressed before a fault is given out before the error is thrown.
 */
export async function* decompressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const head = await readHead(iterator);
    if (head[0] === 0x1f && head[1] === 0x8b) yield* inflate(head, iterator);
    else yield* plain(head, iterator);
  } finally {
    await iterator.return?.();
  }
}

/** The first bytes, at least `headBytes` where there are so many: what a magic number or byte order mark takes. */
async function readHead(iterator: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head = new Uint8Array(0);
  while (head.length < headBytes) {
    const next = await iterator.next();
    if (next.done) break;
    const joined = new Uint8Array(head.length + next.value.length);
    joined.set(head);
    joined.set(next.value, head.length);
    head = joined;
  }
  return head;
}

async function* plain(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let total = 0;
  for (let chunk: Uint8Array | undefined = head; chunk; ) {
    total += chunk.length;
    if (total > inputBytesMax) throw standardsError(StandardsErrorCodes.inputTooLarge);
    yield chunk;
    const next: IteratorResult<Uint8Array> = await iterator.next();
    chunk = next.done ? undefined : next.value;
  }
}

async function* inflate(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const inflater = new Inflater();
  try {
    for (let chunk: Uint8Array | undefined = head; chunk; ) {
      for (let from = 0; from < chunk.length; from += pieceBytesMax) {
        await inflater.write(chunk.subarray(from, from + pieceBytesMax));
        yield* inflater.take();
      }
      const next: IteratorResult<Uint8Array> = await iterator.next();
      chunk = next.done ? undefined : next.value;
    }
    await inflater.end();
    yield* inflater.take();
  } finally {
    inflater.close();
  }
}

/** zlib with what it gives out collected per piece, so that nothing is lost when a later piece is broken. */
class Inflater {
  #gunzip: Gunzip = createGunzip();
  #chunks: Uint8Array[] = [];
  #error: Error | undefined;
  #failed: (() => void) | undefined;
  #read = 0;
  #written = 0;

  constructor() {
    this.#gunzip.on('data', (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#written += chunk.length;
    });
    this.#gunzip.on('error', (error) => {
      this.#error ??= error;
      this.#failed?.();
    });
  }

  async write(piece: Uint8Array): Promise<void> {
    this.#read += piece.length;
    await this.#until((done) => this.#gunzip.write(piece, done));
  }

  async end(): Promise<void> {
    await this.#until((done) => {
      this.#gunzip.once('end', done);
      this.#gunzip.end();
    });
  }

  async #until(start: (done: () => void) => void): Promise<void> {
    if (this.#error) return;
    await new Promise<void>((resolve) => {
      this.#failed = resolve;
      start(resolve);
    });
  }

  /** What came out, then the error if there is one. */
  *take(): Generator<Uint8Array> {
    yield* this.#chunks.splice(0);
    if (this.#error) throw standardsError(StandardsErrorCodes.gzipBroken, undefined, { cause: this.#error });
    if (this.#written > inputBytesMax) throw standardsError(StandardsErrorCodes.inputTooLarge);
    if (this.#written > inflationCheckedFromBytes && this.#written > this.#read * inflationRatioMax) {
      throw standardsError(StandardsErrorCodes.inflationSuspicious);
    }
  }

  close(): void {
    this.#gunzip.destroy();
  }
}
