import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromBase64url, fromHex, sha256, toHex, utf8 } from './bytes.ts';
import { fixtureKey } from './chain-fixture.ts';
import {
  addressOf,
  checkHeader,
  checkValidators,
  commitHash,
  consensusHash,
  dataHash,
  encodeCommit,
  encodeExecResult,
  encodeHeader,
  headerHash,
  msOfTimestamp,
  resultsHash,
  sortValidators,
  timestampOfMs,
  validatorsHash,
  voteSignBytes,
  zeroTime,
} from './comet.ts';
import { type Block, blockIdOf, blockPartBytes, blockParts, encodeBlock } from './comet-block.ts';
import { lightBlockFromJson, lightBlockToJson, parseTimestamp, timestampText } from './comet-json.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from './ed25519.ts';
import type { JsonValue } from './json.ts';
import { readWire, WireWriter } from './wire.ts';

type ResultVector = { code: number; data: string; gasWanted: number; gasUsed: number };
type BlockVector = { header: JsonValue; commit: JsonValue; validators: JsonValue } & {
  headerHash: string;
  headerBytes: string;
  commitHash: string;
  commitBytes: string;
  signBytes: string[];
  validatorsHash: string;
  transactions: string[];
  dataHash: string;
  results: ResultVector[];
  resultBytes: string[];
  resultsHash: string;
  blockBytesHash: string;
  parts: { total: number; hash: string };
};
type HeaderVectors = {
  blocks: BlockVector[];
  consensus: { blockBytesMax: number; blockGasMax: number; hash: string }[];
};

const vectors: HeaderVectors = JSON.parse(
  readFileSync(new URL('../../../vectors/headers.json', import.meta.url), 'utf8'),
);

describe('R-LED-1 vectors/headers.json (recomputed by CometBFT in tests/foreign/comet)', () => {
  it('headers, commits, sets, transactions, results, blocks and parts', () => {
    let lastCommit: Block['lastCommit'] | undefined;
    for (const vector of vectors.blocks) {
      const { header, commit, validators } = vector;
      const light = lightBlockFromJson({ header, commit, validators });
      expect(lightBlockToJson(light)).toEqual({ header, commit, validators });
      expect(toHex(headerHash(light.header))).toBe(vector.headerHash);
      expect(toHex(encodeHeader(light.header))).toBe(vector.headerBytes);
      expect(toHex(commitHash(light.commit))).toBe(vector.commitHash);
      expect(toHex(encodeCommit(light.commit))).toBe(vector.commitBytes);
      const signBytes = light.commit.votes.map((vote) => toHex(voteSignBytes(light.header.chain, light.commit, vote)));
      expect(signBytes).toEqual(vector.signBytes);
      expect(toHex(validatorsHash(light.validators))).toBe(vector.validatorsHash);
      const transactions = vector.transactions.map(fromBase64url);
      expect(toHex(dataHash(transactions.map((bytes) => sha256(bytes))))).toBe(vector.dataHash);
      const results = vector.results.map((result) => ({ ...result, data: fromHex(result.data) }));
      expect(results.map((result) => toHex(encodeExecResult(result)))).toEqual(vector.resultBytes);
      expect(toHex(resultsHash(results))).toBe(vector.resultsHash);
      if (lastCommit) {
        const block = { header: light.header, transactions, lastCommit };
        expect(toHex(sha256(encodeBlock(block)))).toBe(vector.blockBytesHash);
        expect(blockIdOf(block)).toEqual(light.commit.blockId);
      }
      lastCommit = light.commit;
    }
  });

  it('consensus parameters, those of ADR 1 among them', () => {
    for (const { blockBytesMax, blockGasMax, hash } of vectors.consensus) {
      expect(toHex(consensusHash(blockBytesMax, blockGasMax))).toBe(hash);
    }
  });
});

describe('R-LED-1 comet', () => {
  const header = lightBlockFromJson(picked(vectors.blocks[1]!)).header;

  it('refuses malformed headers', () => {
    expect(() => checkHeader(header)).not.toThrow();
    const changes = [
      { version: { block: 10, app: 1 } },
      { chain: '' },
      { chain: 'é' },
      { chain: 'x'.repeat(51) },
      { height: 0 },
      { height: 1.5 },
      { dataHash: new Uint8Array(31) },
      { validatorsHash: new Uint8Array(0) },
      { proposerAddress: new Uint8Array(32) },
      { time: { seconds: 0, nanos: 1_000_000_000 } },
      { lastBlockId: { hash: new Uint8Array(5), parts: { total: 0, hash: new Uint8Array(0) } } },
    ];
    for (const change of changes) expect(() => checkHeader({ ...header, ...change })).toThrow('malformed');
  });

  it('refuses malformed validator sets', () => {
    const keys = sortValidators(['a', 'b', 'c'].map((name, index) => fixtureKey(name, index + 1)));
    expect(keys.map((key) => key.power)).toEqual([3, 2, 1]);
    expect(() => checkValidators(keys)).not.toThrow();
    const [first, second, third] = keys as [never, never, never];
    for (const set of [[], [second, first, third], [first, first], [{ publicKey: utf8('short'), power: 1 }]]) {
      expect(() => checkValidators(set)).toThrow('validator set');
    }
    for (const power of [0, -1, 1.5, 2 ** 53]) {
      expect(() => checkValidators([{ publicKey: new Uint8Array(32), power }])).toThrow('validator set');
    }
    expect(() => checkValidators(keys.map((key) => ({ ...key, power: 2 ** 53 - 1 })))).toThrow('validator set');
    expect(addressOf(keys[0]!.publicKey)).toHaveLength(20);
  });

  it('cuts a block into parts of 64 KiB', () => {
    expect(blockParts(new Uint8Array(blockPartBytes)).total).toBe(1);
    const { total, parts } = blockParts(new Uint8Array(2 * blockPartBytes + 1));
    expect([total, parts.map(({ bytes }) => bytes.length)]).toEqual([3, [blockPartBytes, blockPartBytes, 1]]);
  });

  it('writes and reads times in one form', () => {
    const texts = [
      '2026-01-01T00:00:00Z',
      '2026-01-01T00:00:00.1Z',
      '0001-01-01T00:00:00Z',
      '2026-02-28T23:59:59.000000001Z',
    ];
    for (const text of texts) expect(timestampText(parseTimestamp(text))).toBe(text);
    expect(timestampText(zeroTime)).toBe('0001-01-01T00:00:00Z');
    const others = [
      '2026-01-01T00:00:00.10Z',
      '2026-01-01T00:00:00.0Z',
      '2026-01-01T00:00:00+00:00',
      '2026-02-30T00:00:00Z',
    ];
    for (const text of [...others, '2026-01-01 00:00:00Z', '', '2026-01-01T24:00:00Z']) {
      expect(() => parseTimestamp(text)).toThrow('RFC 3339');
    }
    for (const ms of [0, 1, 1_767_225_600_123]) expect(msOfTimestamp(timestampOfMs(ms))).toBe(ms);
  });

  it('signs and verifies as RFC 8032 test 2', () => {
    const seed = fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
    const publicKey = ed25519PublicKey(seed);
    expect(toHex(publicKey)).toBe('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
    const signature = signEd25519(seed, Uint8Array.of(0x72));
    expect(toHex(signature)).toBe(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
    expect(verifyEd25519(publicKey, Uint8Array.of(0x72), signature)).toBe(true);
    expect(verifyEd25519(publicKey, Uint8Array.of(0x73), signature)).toBe(false);
    expect(verifyEd25519(publicKey.slice(1), Uint8Array.of(0x72), signature)).toBe(false);
    expect(verifyEd25519(new Uint8Array(32).fill(255), Uint8Array.of(0x72), signature)).toBe(false);
  });

  it('writes protobuf numbers to 2^53−1 and refuses what is none', () => {
    expect(toHex(new WireWriter().int(1, -1).finish())).toBe('08ffffffffffffffffff01');
    expect(toHex(new WireWriter().int(2, 300).sfixed64(3, -2).finish())).toBe('10ac0219feffffffffffffff');
    expect(toHex(new WireWriter().int(1, Number.MAX_SAFE_INTEGER).finish())).toBe('08ffffffffffffff0f');
    expect(() => new WireWriter().int(1, 2 ** 53)).toThrow('protobuf field');
    for (const text of ['08', '0a02', '0a0501', '00', '8001', '0bff', '08ffffffffffffffffff01']) {
      expect(() => readWire(fromHex(text))).toThrow();
    }
  });
});

function picked({ header, commit, validators }: BlockVector): JsonValue {
  return { header, commit, validators };
}
