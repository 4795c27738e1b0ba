import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import type { GenesisDocument } from '../kernel/genesis.ts';
import { testGenesis } from '../kernel/test-kit.ts';
import { type ParameterName, parameterDefinitions } from './parameters.ts';

const names = Object.keys(parameterDefinitions) as ParameterName[];

/** Values within and around the bounds of a parameter. */
const arbitraryParameter = fc.constantFrom(...names).chain((name) => {
  const { min, max } = parameterDefinitions[name];
  const value = fc.oneof(
    { arbitrary: fc.integer({ min, max }), weight: 6 },
    fc.constantFrom(Math.max(0, min - 1), max + 1),
  );
  return fc.tuple(fc.constant<string>(name), value);
});

const arbitraryRuleSet = fc
  .record({
    format: fc.constantFrom('plan/1', 'edits/1'),
    id: fc.constantFrom('a', 'b'),
    version: fc.integer({ min: 0, max: 3 }),
  })
  .map((document) => ({ ...document, rules: [] }) as JsonValue);

/** Genesis documents of which some contradict themselves. */
export const arbitraryGenesis: fc.Arbitrary<GenesisDocument> = fc
  .record({
    parameters: fc.array(arbitraryParameter, { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
    ruleSets: fc.array(arbitraryRuleSet, { maxLength: 4 }),
    memberCount: fc.integer({ min: 1, max: 5 }),
  })
  .map(({ parameters, ruleSets, memberCount }) => {
    const { members } = testGenesis();
    return testGenesis({ parameters, ruleSets, members: members.slice(0, memberCount) });
  });
