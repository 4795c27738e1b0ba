import { createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkBytes, contentLength, headerBytes, sealedLength, tagBytes } from './chunks.ts';
import * as node from './content.ts';
import * as web from './content-web.ts';
import { toReadableStream } from './streams.ts';
import { flipped, gather, refusal } from './testing.ts';

const key = randomBytes(32);
const options = { key, context: 'record/1' };
const sealedChunkBytes = chunkBytes + tagBytes;

function seal(content: Uint8Array): Promise<Uint8Array> {
  return gather(node.encryptContent(options, [content]));
}

async function open(sealed: Uint8Array, changed: Partial<typeof options> = {}): Promise<Uint8Array> {
  return gather(node.decryptContent({ ...options, ...changed }, [sealed]));
}

const big = new Uint8Array(randomBytes(3 * chunkBytes + 77));
const lengths = [0, 1, 15, 16, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 2 * chunkBytes + 5];

describe('R-REC-5 content: what was altered does not open', () => {
  it('wrong key, wrong context, wrong key length', async () => {
    const sealed = await seal(big);
    expect(await refusal(() => open(sealed, { key: randomBytes(32) }))).toBe('contentDamaged');
    expect(await refusal(() => open(sealed, { context: 'record/2' }))).toBe('contentDamaged');
    expect(await refusal(() => open(sealed, { key: randomBytes(16) }))).toBe('contentKey');
    const small = node.sealContent(options, big.subarray(0, 100));
    expect(await refusal(() => node.openContent({ ...options, context: 'x' }, small))).toBe('contentDamaged');
  });

  it('one flipped bit anywhere, by both implementations', async () => {
    const sealed = await seal(big);
    const place = fc.tuple(fc.nat(sealed.length - 1), fc.nat(7));
    await fc.assert(
      fc.asyncProperty(place, fc.constantFrom(node, web), async ([position, bit], { decryptContent }) => {
        const work = () => gather(decryptContent(options, [flipped(sealed, position, bit)]));
        const expected = position < 8 || position === 31 ? 'contentHeader' : 'contentDamaged';
        expect(await refusal(work)).toBe(expected);
      }),
      { numRuns: 120 },
    );
  });

  it('every bit of a small content', async () => {
    const sealed = node.sealContent(options, big.subarray(0, 40));
    for (let position = 0; position < sealed.length; position++) {
      for (let bit = 0; bit < 8; bit++) {
        const work = () => node.openContent(options, flipped(sealed, position, bit));
        expect(await refusal(work)).toMatch(/^content(Header|Damaged)$/);
      }
    }
  });

  it('cut at any length, above all at chunk boundaries', async () => {
    const sealed = await seal(big);
    for (const chunks of [0, 1, 2, 3]) {
      const cut = sealed.subarray(0, headerBytes + chunks * sealedChunkBytes);
      expect(await refusal(() => open(cut))).toBe('contentTruncated');
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(sealed.length - 1), async (length) => {
        const result = await refusal(() => open(sealed.subarray(0, length)));
        expect(['contentTruncated', 'contentDamaged', 'contentHeader']).toContain(result);
      }),
      { numRuns: 60 },
    );
  });

  it('swapped, repeated, foreign and appended chunks', async () => {
    const sealed = Buffer.from(await seal(big));
    const other = Buffer.from(await seal(big));
    const header = sealed.subarray(0, headerBytes);
    const chunk = (from: Buffer, i: number) =>
      from.subarray(headerBytes + i * sealedChunkBytes, headerBytes + (i + 1) * sealedChunkBytes);
    const of = (...chunks: Buffer[]) => Buffer.concat([header, ...chunks]);
    const cases: [string, Buffer][] = [
      ['swapped', of(chunk(sealed, 1), chunk(sealed, 0), chunk(sealed, 2), chunk(sealed, 3))],
      ['left out', of(chunk(sealed, 0), chunk(sealed, 2), chunk(sealed, 3))],
      ['repeated', of(chunk(sealed, 0), chunk(sealed, 0), chunk(sealed, 1), chunk(sealed, 2), chunk(sealed, 3))],
      ['of another content', of(chunk(sealed, 0), chunk(other, 1), chunk(sealed, 2), chunk(sealed, 3))],
    ];
    for (const [, altered] of cases) expect(await refusal(() => open(altered))).toBe('contentDamaged');
    const whole = Buffer.from(await seal(big.subarray(0, chunkBytes)));
    expect(await refusal(() => open(Buffer.concat([whole, chunk(other, 3)])))).toBe('contentExtended');
    expect(await refusal(() => open(Buffer.concat([whole, randomBytes(9)])))).toBe('contentExtended');
  });

  it('an empty source, a foreign format, an unknown version', async () => {
    expect(await refusal(() => open(new Uint8Array(0)))).toBe('contentTruncated');
    expect(await refusal(() => open(new TextEncoder().encode('{"resourceType":"Patient"}')))).toBe('contentHeader');
    expect(await refusal(() => open(randomBytes(200)))).toBe('contentHeader');
    expect(await refusal(() => node.openContent(options, new Uint8Array(0)))).toBe('contentHeader');
    expect(await refusal(() => node.sealContent(options, new Uint8Array(chunkBytes + 1)))).toBe('contentTooLarge');
  });
});

describe('R-REC-5 content: what was not altered opens', () => {
  it.each(lengths)('%i bytes, node ↔ WebCrypto, whole and in odd pieces', async (length) => {
    const content = new Uint8Array(randomBytes(length));
    for (const [from, to] of [
      [node, web],
      [web, node],
    ] as const) {
      const pieces = [content.subarray(0, 7), new Uint8Array(0), content.subarray(7)];
      const sealed = await gather(from.encryptContent(options, pieces));
      expect(sealed.length).toBe(sealedLength(length));
      expect(contentLength(sealed.length)).toBe(length);
      const stream = toReadableStream(to.decryptContent(options, toReadableStream(slices(sealed, 1_009))));
      expect(Buffer.from(await gather(stream)).equals(content)).toBe(true);
    }
  });

  it('the small form is the same format', async () => {
    const content = big.subarray(0, 500);
    expect(Buffer.from(await open(node.sealContent(options, content))).equals(content)).toBe(true);
    expect(Buffer.from(node.openContent(options, await seal(content))).equals(content)).toBe(true);
  });

  it('the same content never has the same ciphertext', async () => {
    const [one, two] = [await seal(big), await seal(big)];
    expect(Buffer.from(one).subarray(headerBytes).equals(Buffer.from(two).subarray(headerBytes))).toBe(false);
  });

  it('is read by an independent implementation of the published format', async () => {
    const sealed = Buffer.from(await seal(big));
    expect(sealed.subarray(0, 8).toString('latin1')).toBe('SALC\x01\x01\x10\x00');
    const aes = Buffer.from(hkdfSync('sha256', key, sealed.subarray(8, 24), 'salus-chunks/1', 32));
    const plain: Buffer[] = [];
    for (let i = 0, at = 32; at < sealed.length; i++, at += 65_552) {
      const chunk = sealed.subarray(at, at + 65_552);
      const counter = Buffer.alloc(5);
      counter.writeUInt32BE(i);
      counter[4] = at + 65_552 >= sealed.length ? 1 : 0;
      const decipher = createDecipheriv('aes-256-gcm', aes, Buffer.concat([sealed.subarray(24, 31), counter]));
      decipher.setAAD(Buffer.concat([sealed.subarray(0, 32), Buffer.from('record/1')]));
      decipher.setAuthTag(chunk.subarray(-16));
      plain.push(Buffer.concat([decipher.update(chunk.subarray(0, -16)), decipher.final()]));
    }
    expect(Buffer.concat(plain).equals(big)).toBe(true);
  });
});

describe('R-REC-5 content: reading a part', () => {
  async function part(sealed: Uint8Array, start: number, end: number, length = sealed.length): Promise<Uint8Array> {
    const read = (from: number, to: number) => [sealed.subarray(from, to)];
    return gather(node.decryptContentRange(options, { sealedBytes: length, read }, { start, end }));
  }

  it('gives the same bytes as the whole', async () => {
    const sealed = await seal(big);
    await fc.assert(
      fc.asyncProperty(fc.nat(big.length), fc.nat(big.length), async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        expect(Buffer.from(await part(sealed, start, end)).equals(big.subarray(start, end))).toBe(true);
      }),
      {
        numRuns: 40,
        examples: [
          [0, big.length],
          [chunkBytes, chunkBytes + 1],
          [0, chunkBytes],
          [5, 5],
        ],
      },
    );
  });

  it('refuses a range outside, a flipped bit inside, a cut content', async () => {
    const sealed = await seal(big);
    expect(await refusal(() => part(sealed, 0, big.length + 1))).toBe('contentRange');
    expect(await refusal(() => part(sealed, 5, 4))).toBe('contentRange');
    expect(
      await refusal(() => part(flipped(sealed, headerBytes + sealedChunkBytes + 9), chunkBytes, chunkBytes + 3)),
    ).toBe('contentDamaged');
    const cut = sealed.subarray(0, headerBytes + 2 * sealedChunkBytes);
    expect(await refusal(() => part(cut, 0, 2 * chunkBytes))).toBe('contentTruncated');
    expect(await refusal(() => part(cut, 0, big.length, sealed.length))).toBe('contentTruncated');
  });
});

describe('R-REC-5 content: streaming', () => {
  it('keeps memory flat over 96 MB', async () => {
    const totalBytes = 96 * 1_048_576;
    const block = new Uint8Array(1_048_576).fill(7);
    function* source() {
      for (let sent = 0; sent < totalBytes; sent += block.length) yield block;
    }
    let received = 0;
    let peak = 0;
    const before = process.memoryUsage().rss;
    for await (const piece of node.decryptContent(options, node.encryptContent(options, source()))) {
      received += piece.length;
      if (received % (8 * 1_048_576) < chunkBytes) peak = Math.max(peak, process.memoryUsage().rss - before);
    }
    expect(received).toBe(totalBytes);
    expect(peak).toBeLessThan(totalBytes * 0.75);
  });

  it('asks for no more than it was asked for, and stops its source when it is stopped', async () => {
    let pulled = 0;
    let stopped = false;
    async function* source() {
      try {
        for (;;) {
          pulled += 1;
          yield new Uint8Array(chunkBytes);
        }
      } finally {
        stopped = true;
      }
    }
    const reader = toReadableStream(node.encryptContent(options, source())).getReader();
    await reader.read();
    await reader.read();
    expect(pulled).toBeLessThan(4);
    await reader.cancel();
    expect(stopped).toBe(true);
  });
});

async function* slices(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
}
