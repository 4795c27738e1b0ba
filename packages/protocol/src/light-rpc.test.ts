import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lightBlockFromJson, lightBlockToJson } from './comet-json.ts';
import type { JsonValue } from './json.ts';
import { evidenceFromJson } from './light-evidence.ts';
import { evidenceToRpc, lightBlockFromRpc, providerErrorOfRpc } from './light-rpc.ts';
import { ProofErrorCodes } from './proof-errors.ts';

type Rpc = {
  signed_header: { header: Record<string, JsonValue>; commit: { signatures: Record<string, JsonValue>[] } };
};
type RpcVectors = {
  blocks: { light: JsonValue; commit: Rpc; validators: { validators: Record<string, JsonValue>[] } }[];
  evidence: (Record<string, JsonValue> & { rpc: JsonValue })[];
};
const { blocks, evidence }: RpcVectors = JSON.parse(
  readFileSync(new URL('../../../vectors/light-rpc.json', import.meta.url), 'utf8'),
);

describe("R-LED-2 vectors/light-rpc.json: CometBFT's RPC", () => {
  it('gives light blocks, absent and nil votes among them', () => {
    expect(blocks.length).toBeGreaterThan(0);
    for (const { light, commit, validators } of blocks) {
      const block = lightBlockFromRpc(commit, validators.validators);
      expect(lightBlockToJson(block)).toEqual(lightBlockToJson(lightBlockFromJson(light)));
    }
  });

  it('takes evidence in the form that we write', () => {
    expect(new Set(evidence.map(({ kind }) => kind))).toEqual(new Set(['lunatic', 'equivocation', 'amnesia']));
    for (const { rpc, ...own } of evidence) expect(evidenceToRpc(evidenceFromJson(own))).toEqual(rpc);
  });

  it('is not believed where it answers something else', () => {
    const { commit, validators } = blocks[0]!;
    const list = validators.validators;
    const header = commit.signed_header.header;
    const changed = (change: Record<string, JsonValue>): JsonValue =>
      ({ signed_header: { ...commit.signed_header, header: { ...header, ...change } } }) as JsonValue;
    const wrong: [JsonValue, JsonValue[]][] = [
      [null, list],
      [[], list],
      [{ signed_header: null }, list],
      [changed({ height: '1e3' }), list],
      [changed({ height: '-1' }), list],
      [changed({ app_hash: 'XY' }), list],
      [changed({ time: 'today' }), list],
      [commit as JsonValue, [{ ...list[0]!, pub_key: { type: 'tendermint/PubKeySecp256k1', value: '' } }]],
      [commit as JsonValue, [{ ...list[0]!, voting_power: '99999999999999999999' }]],
    ];
    for (const [answer, set] of wrong) {
      expect(() => lightBlockFromRpc(answer, set)).toThrow(
        expect.objectContaining({ code: ProofErrorCodes.providerBadBlock }),
      );
    }
  });

  it.each([
    ['height 9 must be less than or equal to the current blockchain height 8', 'providerHeightTooHigh'],
    ['height 3 is not available, lowest height is 4', 'providerBlockMissing'],
    ['validator set for height 3: could not find any', 'providerSilent'],
  ] as const)('says: %s', (words, name) => {
    expect(providerErrorOfRpc(words).code).toBe(ProofErrorCodes[name]);
  });
});
