import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac, randomBytes } from 'node:crypto';
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core';
import {
  type EcPrivateJwk,
  type EcPublicJwk,
  fromBase64url,
  generateSigningKey,
  utf8,
  verifyCommitment,
} from '@salus/protocol';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  encodeSealed,
  openSealed,
  parseSealed,
  recipientClasses,
  type SealedEnvelope,
  type SealedPayload,
  sealedAddress,
  sealedContentBytesMax,
  sealPayload,
  sizeClassesBytes,
} from './sealed.ts';
import { refusal } from './testing.ts';

const context = 'salus-test|consent/grant';
const content = utf8('{"grant":"cardiology","until":"2027-01-01"}');
let keys: { publicJwk: Parameters<typeof sealPayload>[0]['recipients'][number]; privateJwk: EcPrivateJwk }[];
let sealed: SealedPayload;

beforeAll(async () => {
  keys = await Promise.all([generateSigningKey(), generateSigningKey(), generateSigningKey(), generateSigningKey()]);
  const recipients = keys.slice(0, 3).map(({ publicJwk }) => publicJwk);
  sealed = await sealPayload({ content, recipients, context });
});

const open = (envelope: SealedEnvelope, i = 0, options = {}) =>
  openSealed(envelope, keys[i]!.privateJwk, { context, ...options });

/** Flips a bit in the bytes of a base64url text. */
function flip(text: string, position: number): string {
  const bytes = Buffer.from(text, 'base64url');
  bytes[position % bytes.length]! ^= 1 << (position % 8);
  return bytes.toString('base64url');
}

describe('R-LED-5 sealed payloads: nobody but the parties', () => {
  it('a key that is no recipient, another context, another commitment, a wrong tag', async () => {
    expect(await refusal(() => open(sealed.envelope, 3))).toBe('sealedNotForKey');
    expect(await refusal(() => open(sealed.envelope, 0, { context: 'other' }))).toBe('sealedNotForKey');
    expect(await refusal(() => open(sealed.envelope, 0, { tag: sealed.tags[1] }))).toBe('sealedNotForKey');
    const other = await sealPayload({ content, recipients: [keys[0]!.publicJwk], context });
    expect(await refusal(() => open(sealed.envelope, 0, { commitment: other.commitment }))).toBe('sealedCommitment');
  });

  it('a flipped bit anywhere in the ciphertext, the commitment or the own entry', async () => {
    const tag = sealed.tags[0];
    await fc.assert(
      fc.asyncProperty(
        fc.nat(4_000),
        fc.constantFrom('ciphertext', 'commitment', 'tag', 'enc', 'key'),
        async (at, member) => {
          const envelope = structuredClone(sealed.envelope);
          const entry = envelope.recipients.find((recipient) => recipient.tag === tag)!;
          if (member === 'ciphertext' || member === 'commitment') envelope[member] = flip(envelope[member], at);
          else entry[member] = flip(entry[member], at);
          expect(await refusal(() => open(envelope))).toBe(
            member === 'ciphertext' ? 'sealedDamaged' : 'sealedNotForKey',
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('entries of another envelope', async () => {
    const other = await sealPayload({ content, recipients: [keys[0]!.publicJwk], context });
    const mixed = { ...sealed.envelope, recipients: other.envelope.recipients };
    expect(await refusal(() => open(mixed))).toBe('sealedNotForKey');
  });

  it('a party that lies about the commitment is found out', async () => {
    const salt = randomBytes(32);
    const honest = await sealPayload({ content, recipients: [keys[0]!.publicJwk], context, salt });
    const lie = await sealPayload({ content: utf8('other'), recipients: [keys[0]!.publicJwk], context, salt });
    expect(lie.commitment).not.toBe(honest.commitment);
    expect(await refusal(() => open(lie.envelope, 0, { commitment: honest.commitment }))).toBe('sealedCommitment');
    const forged = await forge(keys[0]!.publicJwk, honest.commitment, salt, utf8('other'));
    expect(await refusal(() => open(forged, 0, { commitment: honest.commitment }))).toBe('sealedCommitment');
    const sound = await forge(keys[0]!.publicJwk, lie.commitment, salt, utf8('other'));
    expect((await open(sound)).content).toEqual(utf8('other'));
    const hidden = await forge(keys[0]!.publicJwk, lie.commitment, salt, utf8('other'), 1);
    expect(await refusal(() => open(hidden))).toBe('sealedDamaged');
  });

  it('no, too many, repeated and malformed recipients; too much content', async () => {
    const { publicJwk } = keys[0]!;
    const seal = (recipients: (typeof publicJwk)[]) => refusal(() => sealPayload({ content, recipients, context }));
    expect(await seal([])).toBe('sealedRecipients');
    expect(await seal([publicJwk, publicJwk])).toBe('sealedRecipients');
    await expect(sealPayload({ content, recipients: [{ ...publicJwk, x: 'AA' }], context })).rejects.toThrow();
    await expect(
      sealPayload({ content, recipients: [{ ...publicJwk, y: keys[1]!.publicJwk.y }], context }),
    ).rejects.toThrow();
    const tooMuch = new Uint8Array(sealedContentBytesMax + 1);
    expect(await refusal(() => sealPayload({ content: tooMuch, recipients: [publicJwk], context }))).toBe(
      'sealedTooLarge',
    );
  });

  it('malformed envelopes', async () => {
    const bytes = encodeSealed(sealed.envelope);
    const text = new TextDecoder().decode(bytes);
    const value = JSON.parse(text) as Record<string, unknown>;
    const cases: [string, string][] = [
      ['white space', ` ${text}`],
      ['not JSON', text.slice(0, -1)],
      ['duplicate member', text.replace('{', '{"suite":"x",')],
      ['additional member', JSON.stringify({ ...value, to: 'x' })],
      ['other format', text.replace('salus-sealed/1', 'salus-sealed/2')],
      ['no recipients', JSON.stringify({ ...value, recipients: [] })],
      ['recipients no list', JSON.stringify({ ...value, recipients: {} })],
      ['odd number of entries', JSON.stringify({ ...value, recipients: sealed.envelope.recipients.slice(1) })],
      ['unpadded length', JSON.stringify({ ...value, ciphertext: 'AAAA' })],
      ['padded base64', text.replace('"}', '="}')],
      ['list', '[]'],
    ];
    for (const [name, altered] of cases)
      expect([name, await refusal(() => parseSealed(utf8(altered)))]).toEqual([name, 'sealedFormat']);
    expect(parseSealed(bytes)).toEqual(sealed.envelope);
    expect(sealedAddress(bytes)).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});

describe('R-LED-5 sealed payloads: every party, and nothing for onlookers', () => {
  it('every recipient opens, with and without the tag, and can prove the commitment', async () => {
    for (const [i, tag] of sealed.tags.entries()) {
      for (const options of [{}, { tag }, { commitment: sealed.commitment }]) {
        const opened = await open(sealed.envelope, i, options);
        expect(opened).toEqual({
          content: Uint8Array.from(content),
          commitment: sealed.commitment,
          salt: sealed.salt,
          tag,
        });
        expect(verifyCommitment(opened, opened.content)).toBe(true);
      }
    }
  });

  it('shows neither names nor keys nor the number of parties nor the exact length', async () => {
    const text = new TextDecoder().decode(encodeSealed(sealed.envelope));
    for (const { publicJwk } of keys) expect(text).not.toContain(publicJwk.x);
    const lengths = new Set<number>();
    for (const [length, count] of [
      [0, 1],
      [100, 2],
      [470, 1],
    ] as const) {
      const recipients = keys.slice(0, count).map(({ publicJwk }) => publicJwk);
      const { envelope } = await sealPayload({ content: new Uint8Array(length), recipients, context });
      lengths.add(encodeSealed(envelope).length);
    }
    expect(lengths.size).toBe(1);
    expect(recipientClasses).toContain(sealed.envelope.recipients.length);
    expect(sealed.envelope.recipients).toHaveLength(4);
  });

  it('every size class opens at its edges', async () => {
    const { publicJwk } = keys[0]!;
    for (const size of sizeClassesBytes.filter((bytes) => bytes <= 65_536)) {
      for (const length of [size - 36, size - 35]) {
        const long = new Uint8Array(randomBytes(length));
        const payload = await sealPayload({ content: long, recipients: [publicJwk], context });
        const cipherBytes = fromBase64url(payload.envelope.ciphertext).length - 28;
        expect(cipherBytes).toBe(length === size - 36 ? size : size * 2);
        expect(Buffer.from((await open(payload.envelope)).content).equals(long)).toBe(true);
      }
    }
  });

  it('is opened by an independent implementation of RFC 9180', async () => {
    const entry = sealed.envelope.recipients.find(({ tag }) => tag === sealed.tags[1])!;
    const aad = JSON.stringify(['salus-sealed/1', 'P256-SHA256-A256GCM', sealed.commitment, context, entry.tag]);
    const contentKey = hpkeOpen(keys[1]!.privateJwk, entry, Buffer.from('salus-sealed/1'), Buffer.from(aad));
    const bytes = Buffer.from(sealed.envelope.ciphertext, 'base64url');
    const contentAad = JSON.stringify(['salus-sealed/1', 'P256-SHA256-A256GCM', sealed.commitment, context]);
    const plain = gcmOpen(contentKey, bytes.subarray(0, 12), bytes.subarray(12), Buffer.from(contentAad));
    expect(plain).toHaveLength(512);
    const opened = plain.subarray(36, 36 + plain.readUInt32BE(32));
    expect(opened.equals(content)).toBe(true);
    const commitment = createHash('sha256').update(plain.subarray(0, 32)).update(opened).digest('base64url');
    expect(commitment).toBe(sealed.commitment);
  });
});

/** A well-formed envelope by a sender who names any commitment and puts anything into the padding. */
async function forge(
  jwk: EcPublicJwk,
  commitment: string,
  salt: Uint8Array,
  other: Uint8Array,
  paddingByte = 0,
): Promise<SealedEnvelope> {
  const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const [format, name] = ['salus-sealed/1', 'P256-SHA256-A256GCM'] as const;
  const padded = Buffer.alloc(512, paddingByte);
  padded.set(salt);
  padded.writeUInt32BE(other.length, 32);
  padded.set(other, 36);
  const [contentKey, nonce] = [randomBytes(32), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', contentKey, nonce);
  cipher.setAAD(Buffer.from(JSON.stringify([format, name, commitment, context])));
  const ciphertext = Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
  const recipientPublicKey = await suite.kem.importKey('jwk', { ...jwk }, true);
  const recipients = await Promise.all(
    [1, 2].map(async () => {
      const tag = randomBytes(16).toString('base64url');
      const sender = await suite.createSenderContext({ recipientPublicKey, info: Buffer.from(format) });
      const aad = Buffer.from(JSON.stringify([format, name, commitment, context, tag]));
      const key = Buffer.from(await sender.seal(contentKey, aad)).toString('base64url');
      return { tag, enc: Buffer.from(sender.enc).toString('base64url'), key };
    }),
  );
  return { format, suite: name, commitment, recipients, ciphertext: ciphertext.toString('base64url') };
}

function gcmOpen(key: Buffer, nonce: Buffer, sealedBytes: Buffer, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(sealedBytes.subarray(-16));
  return Buffer.concat([decipher.update(sealedBytes.subarray(0, -16)), decipher.final()]);
}

/** RFC 9180 base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, single shot, from node:crypto's primitives. */
function hpkeOpen(jwk: EcPrivateJwk, entry: { enc: string; key: string }, info: Buffer, aad: Buffer): Buffer {
  const hmac = (key: Buffer, ...parts: Buffer[]) => createHmac('sha256', key).update(Buffer.concat(parts)).digest();
  const text = (value: string) => Buffer.from(value, 'latin1');
  const kemId = text('KEM\x00\x10');
  const suiteId = text('HPKE\x00\x10\x00\x01\x00\x02');
  const extract = (suite: Buffer, salt: Buffer, label: string, ikm: Buffer) =>
    hmac(salt, text('HPKE-v1'), suite, text(label), ikm);
  const expand = (suite: Buffer, prk: Buffer, label: string, about: Buffer, length: number) =>
    hmac(
      prk,
      Buffer.from([length >> 8, length & 0xff]),
      text('HPKE-v1'),
      suite,
      text(label),
      about,
      Buffer.from([1]),
    ).subarray(0, length);
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(Buffer.from(jwk.d, 'base64url'));
  const enc = Buffer.from(entry.enc, 'base64url');
  const empty = Buffer.alloc(0);
  const eaePrk = extract(kemId, empty, 'eae_prk', ecdh.computeSecret(enc));
  const shared = expand(kemId, eaePrk, 'shared_secret', Buffer.concat([enc, ecdh.getPublicKey()]), 32);
  const ids = [extract(suiteId, empty, 'psk_id_hash', empty), extract(suiteId, empty, 'info_hash', info)];
  const schedule = Buffer.concat([Buffer.from([0]), ...ids]);
  const secret = extract(suiteId, shared, 'secret', empty);
  const key = expand(suiteId, secret, 'key', schedule, 32);
  const nonce = expand(suiteId, secret, 'base_nonce', schedule, 12);
  return gcmOpen(key, nonce, Buffer.from(entry.key, 'base64url'), aad);
}
