import fc from 'fast-check';
import { FlattenedSign, flattenedVerify, GeneralSign, generalVerify, importJWK, type JWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { jsonValue } from './arbitraries.ts';
import { fromBase64url, fromHex, toBase64url, toHex, utf8, utf8Text } from './bytes.ts';
import { ProtocolErrorCodes, SalusError } from './errors.ts';
import type { JsonValue } from './json.ts';
import {
  didOfKey,
  generateSigningKey,
  isLowS,
  type KeyPair,
  normalizeLowS,
  type Signer,
  signerFromJwk,
  verifySignature,
} from './keys.ts';
import {
  addSignature,
  type Message,
  type ParsedTransaction,
  parseTransaction,
  signTransaction,
} from './transaction.ts';

type Person = KeyPair & { kid: string; signer: Signer };

const chain = 'salus-test';
/** FIPS 186-5: the order of P-256's base point. */
const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const validUntil = 1_790_000_000_000;
const messages: Message[] = [{ type: 'records/anchor', record: 'r-1', note: 'Grüße 😀' }];
let people: Person[];

async function person(): Promise<Person> {
  const pair = await generateSigningKey();
  const kid = `${didOfKey(pair.publicJwk)}#main`;
  return { ...pair, kid, signer: signerFromJwk(kid, pair.privateJwk) };
}

async function isSigned(parsed: ParsedTransaction): Promise<boolean> {
  for (const { kid, signingInput, signature } of parsed.signatures) {
    const publicJwk = people.find((other) => other.kid === kid)?.publicJwk;
    if (!publicJwk || !(await verifySignature(publicJwk, signingInput, signature))) return false;
  }
  return true;
}

function parsedOrCode(bytes: Uint8Array): ParsedTransaction | number {
  try {
    return parseTransaction(bytes);
  } catch (error) {
    if (error instanceof SalusError) return error.code;
    throw error;
  }
}

beforeAll(async () => {
  people = await Promise.all(Array.from({ length: 9 }, person));
});

describe('R-LED-1 signTransaction and parseTransaction', () => {
  it('sign any JSON and read it back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(jsonValue, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        async (values, count) => {
          const contents = values.map((value): Message => ({ type: 'a/b', value }));
          const signers = people.slice(0, count).map(({ signer }) => signer);
          const parsed = parseTransaction(await signTransaction({ chain, messages: contents, signers, validUntil }));
          expect(parsed.payload).toEqual({ v: 1, id: parsed.payload.id, validUntil, messages: contents });
          expect(parsed.signatures.map(({ kid }) => kid)).toEqual(signers.map(({ kid }) => kid));
          expect([parsed.chain, `${parsed.sender}#main`]).toEqual([chain, signers[0]?.kid]);
          expect(await isSigned(parsed)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('give every transaction an id of its own, or the one asked for', async () => {
    const request = { chain, messages, signers: [people[0]!.signer], validUntil };
    const [one, two] = [
      parseTransaction(await signTransaction(request)),
      parseTransaction(await signTransaction(request)),
    ];
    expect(one.payload.id).not.toBe(two.payload.id);
    expect(fromBase64url(one.payload.id)).toHaveLength(16);
    const id = toBase64url(new Uint8Array(16));
    expect(parseTransaction(await signTransaction({ ...request, id })).payload.id).toBe(id);
  });

  it('refuse to sign what the network would refuse', async () => {
    const signers = [people[0]!.signer];
    const cases: [Partial<Parameters<typeof signTransaction>[0]>, number][] = [
      [{ signers: [] }, ProtocolErrorCodes.signaturesMissing],
      [{ signers: [...signers, ...signers] }, ProtocolErrorCodes.signedTwice],
      [{ signers: people.map(({ signer }) => signer) }, ProtocolErrorCodes.signaturesTooMany],
      [{ messages: [] }, ProtocolErrorCodes.messagesMissing],
      [{ messages: [{ type: 'x' }] }, ProtocolErrorCodes.messageType],
      [{ messages: [{ type: 'a/b', amount: 0.5 }] }, ProtocolErrorCodes.jsonNumber],
      [{ messages: [{ type: 'a/b', text: '\ud800' }] }, ProtocolErrorCodes.loneSurrogate],
      [{ messages: [{ type: 'a/b', text: 'x'.repeat(1024 * 1024) }] }, ProtocolErrorCodes.transactionTooLarge],
      [{ chain: '' }, ProtocolErrorCodes.chainInvalid],
      [{ validUntil: 0 }, ProtocolErrorCodes.payloadValidUntil],
      [{ id: 'short' }, ProtocolErrorCodes.payloadId],
      [{ signers: [{ kid: people[0]!.kid, sign: () => new Uint8Array(70) }] }, ProtocolErrorCodes.signatureLength],
      [{ signers: [{ kid: 'bob', sign: people[0]!.signer.sign }] }, ProtocolErrorCodes.kidInvalid],
    ];
    for (const [change, code] of cases) {
      const refused = signTransaction({ chain, messages, signers, validUntil, ...change });
      await expect(refused).rejects.toMatchObject({ name: 'SalusError', code });
    }
  });

  it('normalise what a card or another library signed with high s', async () => {
    const { kid, signer } = people[0]!;
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const card: Signer = {
      kid,
      async sign(signingInput) {
        const low = await signer.sign(signingInput);
        const high = order - BigInt(`0x${toHex(low.subarray(32))}`);
        return new Uint8Array([
          ...low.subarray(0, 32),
          ...high
            .toString(16)
            .padStart(64, '0')
            .match(/../g)!
            .map((hex) => Number.parseInt(hex, 16)),
        ]);
      },
    };
    expect(isLowS(await card.sign(utf8('x')))).toBe(false);
    expect(
      await isSigned(parseTransaction(await signTransaction({ chain, messages, signers: [card], validUntil }))),
    ).toBe(true);
  });

  it('keep the payload and the earlier signatures when one is added', async () => {
    let bytes = await signTransaction({ chain, messages, signers: [people[0]!.signer], validUntil });
    const first = parseTransaction(bytes);
    for (const { signer } of people.slice(1, 8)) bytes = await addSignature(bytes, signer);
    const parsed = parseTransaction(bytes);
    expect(parsed.signatures).toHaveLength(8);
    expect(parsed.signatures[0]).toEqual(first.signatures[0]);
    expect(parsed.payload).toEqual(first.payload);
    expect(parsed.sender).toBe(first.sender);
    expect(await isSigned(parsed)).toBe(true);
    await expect(addSignature(bytes, people[8]!.signer)).rejects.toMatchObject({
      code: ProtocolErrorCodes.signaturesTooMany,
    });
    await expect(addSignature(bytes, people[3]!.signer)).rejects.toBeInstanceOf(SalusError);
  });

  it('own their buffers, so that sending one to a worker copies nothing else', async () => {
    const parsed = parseTransaction(
      await signTransaction({ chain, messages, signers: [people[0]!.signer], validUntil }),
    );
    for (const bytes of [parsed.hash, parsed.signatures[0]!.signingInput, parsed.signatures[0]!.signature]) {
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
      expect(bytes.buffer.byteLength).toBe(bytes.length);
    }
  });
});

describe('R-LED-1 a signed transaction', () => {
  it.each([1, 3])('with %d signatures: every changed byte is refused or breaks a signature', async (count) => {
    const bytes = await signTransaction({
      chain,
      messages,
      signers: people.slice(0, count).map(({ signer }) => signer),
      validUntil,
    });
    const { hash } = parseTransaction(bytes);
    for (let position = 0; position < bytes.length; position += 1) {
      const changes = fc.sample(fc.integer({ min: 1, max: 255 }), 3).concat(1, 4, 0x20);
      for (const change of changes) {
        const changed = bytes.slice();
        changed[position] = bytes[position]! ^ change;
        const parsed = parsedOrCode(changed);
        if (typeof parsed === 'number') continue;
        expect(toHex(parsed.hash)).not.toBe(toHex(hash));
        expect(await isSigned(parsed), `byte ${position} xor ${change}`).toBe(false);
      }
    }
  });

  it('truncated, doubled, or with a byte more or less is refused, fails, or is the same payload under another name', async () => {
    const bytes = await signTransaction({ chain, messages, signers: [people[0]!.signer], validUntil });
    const original = parseTransaction(bytes);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: bytes.length }),
        fc.nat({ max: 3 }),
        fc.uint8Array({ maxLength: 2 }),
        async (at, removed, added) => {
          const changed = new Uint8Array([...bytes.subarray(0, at), ...added, ...bytes.subarray(at + removed)]);
          fc.pre(toHex(changed) !== toHex(bytes));
          const parsed = parsedOrCode(changed);
          if (typeof parsed === 'number') return;
          expect(toHex(parsed.hash)).not.toBe(toHex(original.hash));
          if (await isSigned(parsed)) expect(parsed.payload).toEqual(original.payload);
        },
      ),
      { numRuns: 3000 },
    );
    expect(typeof parsedOrCode(new Uint8Array([...bytes, ...bytes]))).toBe('number');
  });

  it('of arbitrary bytes or JSON never breaks the parser', () => {
    const envelope = fc.record(
      { payload: jsonValue, protected: jsonValue, signature: jsonValue },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.oneof(jsonValue, envelope as fc.Arbitrary<JsonValue>).map((value) => utf8(JSON.stringify(value))),
        ),
        (bytes) => {
          expect(parsedOrCode(bytes)).toBeTypeOf('number');
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('R-LED-1 other JOSE libraries', () => {
  const header = (kid: string) => ({ alg: 'ES256', typ: 'salus-tx+jws', kid, chain });
  const payload = () => utf8(JSON.stringify({ v: 1, id: toBase64url(new Uint8Array(16)), validUntil, messages }));

  /** What a client does whose library does not know low-S. */
  function withLowS<T extends { signature: string }>(jws: T): T {
    return { ...jws, signature: toBase64url(normalizeLowS(fromBase64url(jws.signature))) };
  }

  /** The other of the two signatures that every ECDSA signature comes with: s and n − s. */
  function withOtherS<T extends { signature: string }>(jws: T): T {
    const bytes = fromBase64url(jws.signature);
    const s = p256Order - BigInt(`0x${toHex(bytes.subarray(32))}`);
    return { ...jws, signature: toBase64url(fromHex(toHex(bytes.subarray(0, 32)) + s.toString(16).padStart(64, '0'))) };
  }

  it('sign Flattened transactions that are accepted once s is low, and refused with s high', async () => {
    for (const { kid, privateJwk } of people) {
      const key = await importJWK(privateJwk as JWK, 'ES256');
      const jws = await new FlattenedSign(payload()).setProtectedHeader(header(kid)).sign(key);
      const low = withLowS(jws);
      const parsed = parseTransaction(utf8(JSON.stringify(low)));
      expect(await isSigned(parsed)).toBe(true);
      expect(parsed.payload.messages).toEqual(messages);
      const high = utf8(JSON.stringify(withOtherS(low)));
      expect(parsedOrCode(high)).toBe(ProtocolErrorCodes.signatureHighS);
      // Whichever of the two the library made.
      expect([JSON.stringify(low), JSON.stringify(withOtherS(low))]).toContain(JSON.stringify(jws));
    }
  });

  it('sign General transactions that are accepted once s is low', async () => {
    const builder = new GeneralSign(payload());
    for (const { kid, privateJwk } of people.slice(0, 3)) {
      builder.addSignature(await importJWK(privateJwk as JWK, 'ES256')).setProtectedHeader(header(kid));
    }
    const jws = await builder.sign();
    const signatures = jws.signatures.map((entry) => withLowS(entry as typeof entry & { signature: string }));
    const parsed = parseTransaction(utf8(JSON.stringify({ ...jws, signatures })));
    expect(parsed.signatures.map(({ kid }) => kid)).toEqual(people.slice(0, 3).map(({ kid }) => kid));
    expect(await isSigned(parsed)).toBe(true);
  });

  it('verify ours, Flattened and General', async () => {
    const one = await signTransaction({ chain, messages, signers: [people[0]!.signer], validUntil });
    const keyOf = async ({ kid }: { kid?: string }) =>
      importJWK(people.find((other) => other.kid === kid)!.publicJwk as JWK, 'ES256');
    const flattened = await flattenedVerify(JSON.parse(utf8Text(one)), (given?: { kid?: string }) =>
      keyOf(given ?? {}),
    );
    expect(flattened.protectedHeader).toEqual(header(people[0]!.kid));
    expect(JSON.parse(utf8Text(flattened.payload)).messages).toEqual(messages);
    const general = JSON.parse(utf8Text(await addSignature(one, people[1]!.signer)));
    for (const [index, { kid }] of people.slice(0, 2).entries()) {
      const single = { ...general, signatures: [general.signatures[index]] };
      const verified = await generalVerify(single, (given?: { kid?: string }) => keyOf(given ?? {}));
      expect(verified.protectedHeader?.kid).toBe(kid);
    }
  });
});
