import { cometError } from './errors.ts';
import { abciFrameBytesMax } from './limits.ts';

/** A message behind its length as an unsigned varint: how CometBFT's socket protocol delimits messages. */

const varintBytesMax = 5;
const MORE = 0x80;
const LOW_BITS = 0x7f;
const bitsPerByte = 7;

export function frame(message: Uint8Array): Uint8Array[] {
  const head: number[] = [];
  let left = message.length;
  for (; left >= MORE; left = Math.floor(left / MORE)) head.push((left % MORE) | MORE);
  head.push(left);
  return [Uint8Array.from(head), message];
}

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** Bytes that must be there before another look makes sense. */
  #wanted = 1;

  /** Messages that are whole now. Throws `abciFrameInvalid` for a length that no message may have. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    if (this.#buffered < this.#wanted) return [];
    const bytes = this.#chunks.length === 1 ? chunk : new Uint8Array(Buffer.concat(this.#chunks));
    const messages: Uint8Array[] = [];
    let at = 0;
    this.#wanted = 1;
    for (let head = readLength(bytes, at); head; head = readLength(bytes, at)) {
      const end = head.end + head.length;
      if (end > bytes.length) {
        this.#wanted = end - at;
        break;
      }
      messages.push(bytes.subarray(head.end, end));
      at = end;
    }
    const rest = bytes.subarray(at);
    if (rest.length > 0 && this.#wanted === 1) this.#wanted = rest.length + 1;
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#buffered = rest.length;
    return messages;
  }
}

function readLength(bytes: Uint8Array, start: number): { length: number; end: number } | undefined {
  let length = 0;
  for (let index = 0; index < varintBytesMax; index += 1) {
    const byte = bytes[start + index];
    if (byte === undefined) return undefined;
    length += (byte & LOW_BITS) * 2 ** (bitsPerByte * index);
    if (byte >= MORE) continue;
    if (length > abciFrameBytesMax) throw cometError('abciFrameInvalid', `${length} bytes`);
    return { length, end: start + index + 1 };
  }
  throw cometError('abciFrameInvalid', 'a length of more than five bytes');
}
