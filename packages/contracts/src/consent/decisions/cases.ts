/**
 * The table of decisions: situations from practice and the edge of every clause, with the answer that a person who
 * knows the law and the scenarios would give. `vectors/consent-decisions.json` is this table written out in full.
 */

import type { AccessFacts, Decision, DirectiveFact } from '../facts.ts';
import { usaPolicy } from '../policy.ts';
import { denialEdges } from './denials.ts';
import { H, P, type Row, T0 } from './parts.ts';
import { permitEdges } from './permits.ts';
import { roadEdges } from './roads.ts';
import { scenariosTo19 } from './scenarios.ts';
import { scenariosFrom20 } from './scenarios-rest.ts';

const rows = [...scenariosTo19, ...scenariosFrom20, ...denialEdges, ...permitEdges, ...roadEdges];

export interface DecisionCase {
  name: string;
  scenario?: number;
  facts: AccessFacts;
  directives: DirectiveFact[];
  expect: Decision;
}

function expand({ name, scenario, requester, record, directives = [], expect, ...facts }: Row): DecisionCase {
  return {
    name,
    ...(scenario && { scenario }),
    facts: {
      requester: { roles: [], inCareTeam: false, isSubject: false, ...requester },
      purpose: 'TREAT',
      action: 'read',
      record: { id: 'record-1', custodian: H, patient: P, categories: ['notes'], labels: [], erased: false, ...record },
      subject: { deceased: false },
      policy: usaPolicy,
      nowMs: T0,
      ...facts,
    },
    directives,
    expect: { decision: 'deny', reason: 'no-applicable-rule', obligations: [], flags: [], consumes: [], ...expect },
  };
}

export const decisionCases: DecisionCase[] = rows.map(expand);
