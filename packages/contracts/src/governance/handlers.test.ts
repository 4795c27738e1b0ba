import { readdirSync } from 'node:fs';
import { type JsonValue, recordCategories } from '@salus/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContractError } from '../kernel/errors.ts';
import type { GenesisDocument } from '../kernel/genesis.ts';
import {
  dayMs,
  errorName,
  TestLedger,
  testDigest,
  testGenesis,
  testKey,
  testMembers,
  testParticipant,
} from '../kernel/test-kit.ts';
import { arbitraryGenesis } from './arbitraries.ts';
import { reservedMessages } from './messages.ts';
import { jurisdictionUsa } from './packs/usa.ts';
import { type ParameterName, parameterDefinitions } from './parameters.ts';
import {
  activePolicies,
  activeVersion,
  member,
  memberClass,
  members,
  membersOfClass,
  parameter,
  ruleSet,
  ruleSetIds,
} from './queries.ts';
import { isPolicy, ruleSetDigest } from './rule-sets.ts';

const { hospital, clinic, payer, regulator, patients } = testMembers();
const usa = jurisdictionUsa as unknown as JsonValue;
const plan = (version: number, extra: object = {}): JsonValue => ({
  format: 'plan/1',
  id: 'plan-a',
  version,
  ...extra,
});

/** How a genesis document is refused: the error's name, the fault's text, or `accepted`. */
function genesisOutcome(document: GenesisDocument): string {
  try {
    new TestLedger(undefined, document);
    return 'accepted';
  } catch (thrown) {
    return thrown instanceof ContractError ? thrown.name : String(thrown);
  }
}

describe('R-LED-6 governance: what a chain begins with', () => {
  it('knows members by class, parameters with their values, and rule sets by content', () => {
    const ledger = new TestLedger(
      undefined,
      testGenesis({ parameters: { requestTimeoutMs: 60_000 }, ruleSets: [usa, plan(1), plan(2)] }),
    );
    const reader = ledger.reader();
    expect(members(reader)).toEqual([hospital, clinic, payer, regulator, patients].map(({ did }) => did));
    expect(membersOfClass(reader, 'provider')).toEqual([hospital.did, clinic.did]);
    expect(memberClass(reader, regulator.did)).toBe('regulator');
    expect(member(reader, testParticipant('stranger').did)).toBeUndefined();
    expect(parameter(reader, 'requestTimeoutMs')).toBe(60_000);
    for (const name of Object.keys(parameterDefinitions) as ParameterName[]) {
      if (name !== 'requestTimeoutMs') expect(parameter(reader, name)).toBe(parameterDefinitions[name].initial);
    }
    expect(activeVersion(reader, 'plan-a', ledger.timeMs)).toMatchObject({
      version: 2,
      digest: ruleSetDigest(plan(2)),
    });
    expect(activeVersion(reader, 'plan-a', ledger.timeMs - dayMs)).toBeUndefined();
    expect(activeVersion(reader, 'plan-b', ledger.timeMs)).toBeUndefined();
    expect(ruleSet(reader, ruleSetDigest(plan(1)))).toEqual(plan(1));
    expect(ruleSetIds(reader, 'plan/1')).toEqual(['plan-a']);
    expect(activePolicies(reader, ledger.timeMs)).toEqual([{ digest: ruleSetDigest(usa), document: jurisdictionUsa }]);
    expect(ledger.problems()).toEqual([]);
  });

  const members0 = testGenesis().members;
  const first = members0[0]!;
  const stranger = testParticipant('stranger');
  const openPolicy = {
    ...jurisdictionUsa,
    rules: [{ ...jurisdictionUsa.rules[0], purposes: 'TREAT' }],
  } as unknown as JsonValue;
  const cases: [title: string, outcome: string, overrides: Partial<GenesisDocument>][] = [
    ['the test consortium', 'accepted', {}],
    ['no policy: only directives permit', 'accepted', { ruleSets: [] }],
    ['a member twice', 'participantExists', { members: [first, first] }],
    ['a slug twice', 'slugTaken', { members: [first, { ...members0[1]!, slug: first.slug }] }],
    ['a DID that is not of the key', 'didNotOfKey', { members: [{ ...first, keys: [testKey('other', 'sign')] }] }],
    ['a member without signing key', 'signKeyNeeded', { members: [{ ...first, keys: [first.keys[1]!] }] }],
    [
      'an unknown role',
      'TypeError: genesis: wizard is no role of an organisation',
      { members: [{ ...first, role: 'wizard' }] },
    ],
    [
      'a validator of nobody',
      'memberUnknown',
      { validators: [{ publicKey: testDigest('v'), power: 1, member: stranger.did }] },
    ],
    ['an unknown parameter', 'parameterUnknown', { parameters: { speedOfLight: 1 } }],
    ['a parameter out of bounds', 'parameterOutOfBounds', { parameters: { breakGlassOverLimitRefused: 2 } }],
    ['a rule set that is a list', 'ruleSetMalformed', { ruleSets: [[]] }],
    ['a rule set without version', 'ruleSetMalformed', { ruleSets: [{ format: 'plan/1', id: 'plan-a' }] }],
    ['a rule set that is too large', 'ruleSetMalformed', { ruleSets: [plan(1, { text: 'x'.repeat(300_000) })] }],
    ['a rule set that skips a version', 'ruleSetVersion', { ruleSets: [plan(2)] }],
    ['a version twice', 'ruleSetVersion', { ruleSets: [plan(1), plan(1)] }],
    ['a policy with an open member', 'policyMalformed', { ruleSets: [openPolicy] }],
  ];
  it.each(cases)('%s: %s', (_title, expected, overrides) => {
    expect(genesisOutcome(testGenesis(overrides))).toBe(expected);
  });

  it('keeps the message types of voting', () => {
    const ledger = new TestLedger();
    for (const type of reservedMessages)
      expect(errorName(ledger, ledger.run([{ type }], [hospital]))).toBe('messageReserved');
  });

  it('gives the same state for the same document, whole in every invariant', () => {
    let accepted = 0;
    fc.assert(
      fc.property(arbitraryGenesis, (document) => {
        const expected = genesisOutcome(document);
        expect(genesisOutcome(document)).toBe(expected);
        if (expected !== 'accepted') return;
        accepted += 1;
        const ledger = new TestLedger(undefined, document);
        expect(ledger.problems()).toEqual([]);
        expect(new TestLedger(undefined, document).fingerprint()).toBe(ledger.fingerprint());
      }),
      { numRuns: 100 },
    );
    expect(accepted).toBeGreaterThan(10);
  });
});

describe('R-CON-1 governance: the policy of the United States', () => {
  it('is a policy, cites its law and leaves out nothing that the law asks for', () => {
    expect(isPolicy(jurisdictionUsa)).toBe(true);
    const cited = JSON.stringify(jurisdictionUsa);
    for (const law of ['164.506', '164.512', '164.522', '164.508', '42 CFR 2.13', '164.502(g)', '164.510', '164.524']) {
      expect(cited).toContain(law);
    }
    const ids = jurisdictionUsa.rules.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('names categories that labelling gives, in this pack and in every other', async () => {
    const directory = new URL('packs/', import.meta.url);
    const packs = await Promise.all(readdirSync(directory).map((name) => import(new URL(name, directory).href)));
    const policies = packs.flatMap((pack) => Object.values(pack)).filter(isPolicy);
    expect(policies).toContain(jurisdictionUsa);
    const named = policies.flatMap(({ rules }) => rules.flatMap(({ categories = [] }) => categories));
    expect(named).toContain('immunization');
    expect(named.filter((code) => !recordCategories.some((known) => known === code))).toEqual([]);
  });

  it('permits to others only what the law requires, with a stated legal basis', () => {
    for (const rule of jurisdictionUsa.rules.filter(({ relation }) => relation === 'any')) {
      expect(rule.legalBases?.length).toBeGreaterThan(0);
      expect(rule.citation).toMatch(/164\.512/);
    }
  });
});
