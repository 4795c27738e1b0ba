import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StandardsErrorCodes, standardsErrors } from '../errors.ts';
import { operationOutcome, outcomeOfError, outcomeOfProblems } from './outcome.ts';
import { readResource } from './reader.ts';
import { exampleFiles } from './test-data.ts';
import type { JsonValue } from './types.ts';
import { validateResource } from './validation.ts';

const codes = StandardsErrorCodes;
const subject = { reference: 'Patient/p' };

describe('R-REC-4 validation keeps nonsense out', () => {
  it.each<[string, JsonValue, number, string]>([
    ['a text', 'x', codes.entryNotAnObject, ''],
    ['no type', {}, codes.resourceTypeMissing, 'resourceType'],
    ['a type of R5', { resourceType: 'Transport' }, codes.resourceTypeUnknown, 'resourceType'],
    ['a bad id', { resourceType: 'Patient', id: 'a b' }, codes.resourceIdInvalid, 'Patient.id'],
    ['no status', { resourceType: 'Observation', code: { text: 'x' } }, codes.resourceStructure, 'Observation.status'],
    [
      'no choice',
      { resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject },
      codes.resourceStructure,
      'MedicationRequest.medication[x]',
    ],
    ['a number for a code', { resourceType: 'Patient', gender: 1 }, codes.resourceStructure, 'Patient.gender'],
    ['a single name', { resourceType: 'Patient', name: { family: 'x' } }, codes.resourceStructure, 'Patient.name'],
    [
      'a list of subjects',
      { resourceType: 'Condition', subject: [subject] },
      codes.resourceStructure,
      'Condition.subject',
    ],
    ['no date', { resourceType: 'Patient', birthDate: '12.3.1980' }, codes.resourceStructure, 'Patient.birthDate'],
    ['an empty text', { resourceType: 'Patient', language: '' }, codes.resourceStructure, 'Patient.language'],
    [
      'an empty list',
      { resourceType: 'Patient', contact: [{ telecom: [] }] },
      codes.resourceStructure,
      'Patient.contact.telecom',
    ],
  ])('%s', (_name, value, code, path) => {
    const problems = validateResource(value);
    expect(problems.map((problem) => [problem.code, problem.path])).toEqual([[code, path]]);
    expect(validateResource(outcomeOfProblems(problems))).toEqual([]);
  });

  it('accepts a primitive that has only an extension', () => {
    expect(
      validateResource({ resourceType: 'Observation', _status: { extension: [{ url: 'u' }] }, code: { text: 'x' } }),
    ).toEqual([]);
  });

  it.skipIf(exampleFiles().length === 0)(
    'accepts the examples of R4 and US Core (skipped where SALUS_DATA has none)',
    () => {
      for (const file of exampleFiles()) expect(validateResource(readResource(readFileSync(file))), file).toEqual([]);
    },
  );

  it('outcomes name the number and what to do next', () => {
    expect(outcomeOfError(codes.resourceIdInvalid)).toMatchObject({
      issue: [{ severity: 'error', code: 'invalid', details: { coding: [{ code: '332' }] } }],
    });
    expect(outcomeOfProblems([])).toMatchObject({ issue: [{ severity: 'information' }] });
    expect(operationOutcome([{ severity: 'error', type: 'not-found', text: 'x' }]).issue).toHaveLength(1);
  });

  it('every error has a number of this package and a text', () => {
    for (const [code, { name, advice }] of standardsErrors) {
      expect(code).toBeGreaterThanOrEqual(300);
      expect(code).toBeLessThan(400);
      expect(name.length * advice.length).toBeGreaterThan(0);
    }
  });
});
