/** What content comes from: an array of pieces, an async iterable (a Node stream is one) or a Web stream. */
export type ByteSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Web streams are read through a reader because not every browser lets them be iterated. */
export async function* readSource(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (!('getReader' in source)) {
    yield* source;
    return;
  }
  const reader = source.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}

/** A Web stream that pulls from an iterator one piece at a time, so that a slow consumer holds the producer back. */
export function toReadableStream(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

export type Piece = { bytes: Uint8Array; last: boolean };

/**
 * Cuts a stream into pieces of exactly `pieceBytes`; only the last one is shorter, and it is known to be the last.
 * Every piece lies in the same buffer: it has to be used before the next one is asked for.
 */
export async function* inPieces(source: AsyncIterable<Uint8Array>, pieceBytes: number): AsyncGenerator<Piece> {
  const buffer = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const bytes of source) {
    for (let offset = 0; offset < bytes.length; ) {
      if (filled === pieceBytes) {
        yield { bytes: buffer, last: false };
        filled = 0;
      }
      const taken = Math.min(pieceBytes - filled, bytes.length - offset);
      buffer.set(bytes.subarray(offset, offset + taken), filled);
      filled += taken;
      offset += taken;
    }
  }
  yield { bytes: buffer.subarray(0, filled), last: true };
}

export async function collect(source: ByteSource, bytesMax: number, tooLarge: () => Error): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of readSource(source)) {
    total += part.length;
    if (total > bytesMax) throw tooLarge();
    parts.push(part);
  }
  const joined = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
