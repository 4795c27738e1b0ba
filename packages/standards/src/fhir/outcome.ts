import { adviceOf } from '../errors.ts';
import type { Resource } from './types.ts';
import type { ValidationProblem } from './validation.ts';

export type IssueSeverity = 'fatal' | 'error' | 'warning' | 'information';
/** The codes of R4 issue-type in use here. */
export type IssueType =
  | 'invalid'
  | 'structure'
  | 'required'
  | 'value'
  | 'not-supported'
  | 'not-found'
  | 'forbidden'
  | 'security'
  | 'too-costly'
  | 'conflict'
  | 'exception'
  | 'informational';

export type Issue = {
  severity: IssueSeverity;
  type: IssueType;
  /** Number of the error table. */
  code?: number;
  text: string;
  /** FHIRPath-like location. */
  expression?: string;
};

const ERROR_SYSTEM = 'urn:salus:error';

/** OperationOutcome (R4 §2.28). The texts come from error tables: never put content of a record into one. */
export function operationOutcome(issues: Issue[]): Resource {
  return {
    resourceType: 'OperationOutcome',
    issue: issues.map(({ severity, type, code, text, expression }) => ({
      severity,
      code: type,
      details: {
        ...(code === undefined ? {} : { coding: [{ system: ERROR_SYSTEM, code: String(code) }] }),
        text,
      },
      ...(expression ? { expression: [expression] } : {}),
    })),
  };
}

export function outcomeOfError(code: number, type: IssueType = 'invalid'): Resource {
  return operationOutcome([{ severity: 'error', type, code, text: adviceOf(code) }]);
}

export function outcomeOfProblems(problems: ValidationProblem[]): Resource {
  if (problems.length === 0) {
    return operationOutcome([{ severity: 'information', type: 'informational', text: 'No problems were found.' }]);
  }
  return operationOutcome(
    problems.map(({ code, path, message }) => ({
      severity: 'error',
      type: 'structure',
      code,
      text: message,
      ...(path ? { expression: path } : {}),
    })),
  );
}
