import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accessCase } from './arbitraries.ts';
import { type ConsentClauses, checkConsent, consentClauses } from './check-consent.ts';
import { decisionCases } from './decisions/cases.ts';
import { model } from './model.ts';
import { usaPolicy } from './policy.ts';

const pairs = Number(process.env.SALUS_PAIRS ?? 5_000);
const permitShareMin = 0.3;
const vectorsFile = new URL('../../../../vectors/consent-decisions.json', import.meta.url);

/** The table as other languages read it: the policy once, every case and its whole answer. */
function vectors() {
  const cases = decisionCases.map(({ name, scenario, facts: { policy: _policy, ...facts }, directives }) => {
    const answer = checkConsent({ ...facts, policy: usaPolicy }, directives);
    return { name, scenario, facts, directives, answer };
  });
  return { format: 'salus-consent-decisions/1', policy: usaPolicy, cases };
}

describe('R-CON-1 R-CON-4 R-CON-7 decisions on access, one by one', () => {
  for (const row of decisionCases) {
    const name = row.scenario ? `scenario ${row.scenario}: ${row.name}` : row.name;
    it(name, () => expect(checkConsent(row.facts, row.directives)).toMatchObject(row.expect));
  }
});

describe('R-CON-1 the decision table in vectors/', () => {
  it('is this table, for other languages', () => {
    const text = JSON.stringify(vectors(), null, 2);
    if (process.env.SALUS_WRITE_VECTORS) writeFileSync(vectorsFile, `${text}\n`);
    expect(JSON.parse(readFileSync(vectorsFile, 'utf8'))).toEqual(JSON.parse(text));
  });
});

describe('R-CON-1 no clause of the check is idle', () => {
  for (const list of Object.keys(consentClauses) as (keyof ConsentClauses)[]) {
    for (const { name } of consentClauses[list]) {
      it(`without ${list}/${name} a row of the table fails`, () => {
        const kept = consentClauses[list].filter((clause) => clause.name !== name);
        const mutant = { ...consentClauses, [list]: kept } as ConsentClauses;
        const failing = decisionCases.filter(({ facts, directives, expect: wanted }) => {
          const { decision, reason } = checkConsent(facts, directives, mutant);
          return decision !== wanted.decision || reason !== wanted.reason;
        });
        expect(failing.map((row) => row.name)).not.toEqual([]);
      });
    }
  }
});

describe('R-CON-1 checkConsent against an independent model', () => {
  it('equals the model on the table', () => {
    for (const { facts, directives } of decisionCases) {
      expect(model(facts, directives)).toEqual(checkConsent(facts, directives));
    }
  });

  it(`equals the model on ${pairs} random pairs of directives and requests, many of them permitted`, () => {
    const counts = { permit: 0, deny: 0, pending: 0 };
    fc.assert(
      fc.property(accessCase, ({ facts, directives }) => {
        const decision = checkConsent(facts, directives);
        counts[decision.decision] += 1;
        expect(decision).toEqual(model(facts, directives));
      }),
      { numRuns: pairs },
    );
    expect(counts.permit / pairs).toBeGreaterThanOrEqual(permitShareMin);
    expect(counts.deny).toBeGreaterThan(0);
    expect(counts.pending).toBeGreaterThan(0);
  });
});
