import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  canonicalJson,
  type EcPrivateJwk,
  type JsonValue,
  type KeyPair,
  SalusError,
  toBase64url,
  utf8,
  utf8Text,
} from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import * as node from './content.ts';
import * as web from './content-web.ts';
import { openSealed, parseSealed, type SealedEnvelope } from './sealed.ts';
import { gather } from './testing.ts';

const directory = join(import.meta.dirname, '../../../vectors');
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'));

type ChunkVectors = {
  key: string;
  context: string;
  accept: { name: string; plain: { bytes: number; sha256: string }; sealed: string }[];
  reject: { name: string; sealed: string; code: number }[];
  derived: { name: string; of: string; keep?: number; context?: string; key?: string; code: number }[];
};
type SealedVectors = {
  parties: KeyPair[];
  accept: (Record<'name' | 'context' | 'content' | 'commitment' | 'salt', string> & {
    openedBy: number[];
    tags: string[];
    envelope: SealedEnvelope;
  })[];
  reject: { name: string; party: number; context?: string; commitment?: string; code: number; envelope: JsonValue }[];
};

const chunks: ChunkVectors = JSON.parse(readFileSync(join(directory, 'chunks.json'), 'utf8'));
const sealed: SealedVectors = JSON.parse(readFileSync(join(directory, 'sealed.json'), 'utf8'));

async function codeOf(work: () => Promise<unknown>): Promise<number> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SalusError) return error.code;
    throw error;
  }
  return 0;
}

describe.each([
  ['node:crypto', node],
  ['WebCrypto', web],
])('R-REC-5 vectors/chunks.json by %s', (_, { decryptContent }) => {
  const key = bytes(chunks.key);
  const { context } = chunks;

  it.each(chunks.accept)('accepts: $name', async (vector) => {
    const plain = await gather(decryptContent({ key, context }, [bytes(vector.sealed)]));
    expect(plain.length).toBe(vector.plain.bytes);
    expect(createHash('sha256').update(plain).digest('hex')).toBe(vector.plain.sha256);
  });

  it.each(chunks.reject)('refuses: $name', async (vector) => {
    expect(await codeOf(() => gather(decryptContent({ key, context }, [bytes(vector.sealed)])))).toBe(vector.code);
  });

  it.each(chunks.derived)('refuses: $name', async (vector) => {
    const whole = bytes(chunks.accept.find(({ name }) => name === vector.of)!.sealed);
    const options = { key: vector.key ? bytes(vector.key) : key, context: vector.context ?? context };
    const work = () => gather(decryptContent(options, [whole.subarray(0, vector.keep ?? whole.length)]));
    expect(await codeOf(work)).toBe(vector.code);
  });
});

describe('R-LED-5 vectors/sealed.json', () => {
  const open = (envelope: JsonValue, privateJwk: EcPrivateJwk, options: Parameters<typeof openSealed>[2]) =>
    openSealed(parseSealed(utf8(canonicalJson(envelope))), privateJwk, options);

  it.each(sealed.accept)('accepts: $name', async (vector) => {
    const { context, commitment, salt } = vector;
    for (const [i, party] of vector.openedBy.entries()) {
      const { privateJwk } = sealed.parties[party]!;
      const opened = await open(vector.envelope as unknown as JsonValue, privateJwk, { context, commitment });
      expect(utf8Text(opened.content)).toBe(vector.content);
      expect(opened).toMatchObject({ commitment, salt, tag: vector.tags[i] });
      const expected = createHash('sha256').update(bytes(salt)).update(vector.content).digest();
      expect(toBase64url(expected)).toBe(commitment);
    }
  });

  it.each(sealed.reject)('refuses: $name', async (vector) => {
    const { privateJwk } = sealed.parties[vector.party]!;
    const context = vector.context ?? sealed.accept[0]!.context;
    expect(await codeOf(() => open(vector.envelope, privateJwk, { context, commitment: vector.commitment }))).toBe(
      vector.code,
    );
  });
});
