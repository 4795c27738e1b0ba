import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type GenesisDocument, governance } from '@salus/contracts';
import { ed25519PublicKey } from '@salus/protocol';
import { type KeyRing, keyJson } from './people.ts';

export const chainName = 'salus-simulated';
export const startMs = 1_800_000_000_000;

const readme = new URL('../../packages/contracts/src/governance/README.md', import.meta.url);
const organisations = [
  ['hospital', 'hospital', 'provider'],
  ['clinic', 'clinic', 'provider'],
  ['payer', 'payer', 'payer'],
  ['regulator', 'regulator', 'regulator'],
  ['patients', 'patientRepresentatives', 'patientRepresentatives'],
  ['pharmacy', 'pharmacy', 'pharmacy'],
] as const;
/** Short times and small numbers, so that ends and limits are reached within seconds. */
/** Rules of the jurisdiction decide in the gate, not on the ledger: a few of them do. */
const rulesCount = 2;
const votingRules = {
  votingMs: 4_000,
  quorumPerMille: 300,
  classesPerMille: 300,
  approvalPerMille: 500,
  vetoPerMille: 500,
  vetoClasses: 2,
  noticeBlocks: 3,
  executionMs: 40_000,
};
const chosen = {
  requestsPendingMax: 3,
  requestTimeoutMs: 60_000,
  ruleSetDraftsPerMemberMax: 3,
  proposalsOpenPerMemberMax: 6,
  batchEntriesMax: 4,
  reviewersMax: 3,
  directiveUsesMax: 50,
  emergencySuspensionMs: 3_600_000,
  validatorMemberPowerPerMilleMax: 600,
  validatorsMin: 2,
};

/** Names, initial values and bounds as the specification of governance lists them. */
export function specifiedParameters(): Record<string, { value: number; from: number; to: number }> {
  const rows = readFileSync(readme, 'utf8').matchAll(/^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|$/gm);
  return Object.fromEntries(
    [...rows].map(([, name = '', initial, from, to]) => {
      const value = (chosen as Record<string, number>)[name] ?? Number(initial);
      return [name, { value, from: Number(from), to: Number(to) }];
    }),
  );
}

export const validatorSeed: Uint8Array = createHash('sha256').update('simulated validator').digest();

/** One validator stands in genesis, so that the embedded engine can have the same chain. */
export function simulatedGenesis(keys: KeyRing): GenesisDocument {
  const members = organisations.map(([slug, role, memberClass]) => {
    const key = keys.fresh();
    return {
      did: key.did,
      name: `Simulated ${slug}`,
      slug,
      role,
      class: memberClass,
      keys: [keyJson(key)],
      endpoint: `https://${slug}.test`,
    };
  });
  const publicKey = Buffer.from(ed25519PublicKey(validatorSeed)).toString('base64url');
  return {
    format: 'salus-genesis/1',
    chain: chainName,
    timeMs: startMs,
    validators: [{ publicKey, power: 10, member: members[0]!.did }],
    members,
    parameters: chosen,
    votingRules: Object.fromEntries(governance.changeKinds.map((kind) => [kind, votingRules])),
    ruleSets: [{ ...governance.jurisdictionUsa, rules: governance.jurisdictionUsa.rules.slice(0, rulesCount) }],
  } as unknown as GenesisDocument;
}
