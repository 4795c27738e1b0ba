import { fhirType } from '@salus/api';
import { type IssueType, operationOutcome, type Resource } from '@salus/standards';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { headersOf, problemOf, RuleFault } from '../http/problems.ts';
import { type FhirErrorCode, FhirErrorCodes } from './errors.ts';

/** Several problems in one answer: the entries of a Bundle that were refused. */
export class FhirFault extends Error {
  readonly code: FhirErrorCode;
  readonly issues: { code: number; text: string; expression?: string }[];

  constructor(code: FhirErrorCode, issues: { code: number; text: string; expression?: string }[]) {
    super(`refused with ${code}`);
    this.name = 'FhirFault';
    this.code = code;
    this.issues = issues;
  }
}

/** The one answer for what is not here, was erased, or is not for the requester to know. */
export function unknownResource(): RuleFault {
  return new RuleFault(FhirErrorCodes.resourceUnknown);
}

const issueTypes: Readonly<Record<number, IssueType>> = {
  401: 'security',
  403: 'forbidden',
  404: 'not-found',
  405: 'not-supported',
  406: 'not-supported',
  409: 'conflict',
  410: 'not-found',
  412: 'conflict',
  413: 'too-costly',
  415: 'not-supported',
  429: 'too-costly',
};

function issueTypeOf(status: number): IssueType {
  return issueTypes[status] ?? (status >= 500 ? 'exception' : 'invalid');
}

/** The OperationOutcome of an error; texts come from error tables, never from what was sent or is stored. */
export function outcomeOf(error: unknown): { status: number; outcome: Resource } {
  const issues = error instanceof FhirFault ? error.issues : [];
  const problem = problemOf(error instanceof FhirFault ? new RuleFault(error.code) : error);
  const { status, code, advice, detail } = problem;
  const type = issueTypeOf(status);
  const text = detail === undefined ? advice : `${detail} ${advice}`;
  const outcome = operationOutcome([
    { severity: status >= 500 ? 'fatal' : 'error', type, code, text },
    ...issues.map((issue) => ({ severity: 'error' as const, type: 'invalid' as const, ...issue })),
  ]);
  return { status, outcome };
}

export function sendOutcome(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const { status, outcome } = outcomeOf(error);
  return reply
    .code(status)
    .headers(headersOf(error))
    .header('cache-control', 'no-store')
    .header('x-request-id', request.id)
    .type(fhirType)
    .send(Buffer.from(JSON.stringify(outcome)));
}
