import { ApiError } from '@salus/api';
import { createKernel, governance } from '@salus/contracts';
import { SalusError } from '@salus/protocol';
import { NodeErrorCodes, NodeFault } from '@salus/server';
import { describe, expect, test } from 'vitest';
import { Cli, problemOfError } from './cli.ts';

const { notAdopted } = governance.governanceErrors;
const malformed = createKernel().error(1007)!;
const log = `${notAdopted.name}: ${notAdopted.advice}`;
const problem = (code: number, title: string, advice: string, detail?: string) =>
  new ApiError(422, { type: `urn:salus:error:${code}`, title, status: 422, code, advice, detail, requestId: 'x' });

/** What is printed for people, line by line. */
function printed(error: unknown): string[] {
  const lines: string[] = [];
  new Cli({ out: () => undefined, err: (text) => void lines.push(...text.split('\n')) }).fail(error, { data: '' });
  return lines;
}

describe('R-PPL-5 what a command says of an error', () => {
  test.each([
    ['a contract, through a node', problem(3014, 'not adopted', notAdopted.advice, log)],
    ['a contract, of a ledger that is open here', new SalusError(3014, log)],
    ['a contract, through a node that gives no log', problem(3014, 'not adopted', notAdopted.advice)],
  ])('%s: number, title and advice, each once', (_what, error) => {
    expect(problemOfError(error)).toEqual({
      type: 'urn:salus:error:3014',
      title: 'not adopted',
      code: 3014,
      advice: notAdopted.advice,
    });
    expect(printed(error)).toEqual(['Error 3014: not adopted.', notAdopted.advice]);
  });

  test.each([
    [
      'a message’s member',
      `messageMalformed: /proposal must be integer; ${malformed.advice}`,
      '/proposal must be integer',
    ],
    ['text of another form', 'see: the log', 'see: the log'],
    ['another name before the same advice', `other: ${malformed.advice}`, 'other:'],
  ])('keeps what a log says beyond its advice: %s', (_what, said, detail) => {
    const told = { title: 'message malformed', code: 1007, advice: malformed.advice, detail };
    expect(problemOfError(problem(1007, 'message malformed', malformed.advice, said))).toMatchObject(told);
    expect(problemOfError(new SalusError(1007, said))).toMatchObject(told);
  });

  test('of a node: what is said before the advice', () => {
    const fault = new NodeFault(NodeErrorCodes.inputInvalid, 'There is no proposal 4.');
    expect(printed(fault)).toEqual([
      'Error 716: input invalid.',
      'There is no proposal 4.',
      'See --help of the command for what it takes.',
    ]);
  });

  test.each([
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ])('a certificate that is not believed is not a node that does not run: %s', (code) => {
    const cause = Object.assign(new Error('x'), { code });
    expect(problemOfError(new TypeError('fetch failed', { cause }))).toMatchObject({ code: 834, detail: code });
  });

  test('a node that does not run', () => {
    const cause = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
    expect(problemOfError(new TypeError('fetch failed', { cause }))).toMatchObject({ code: 720 });
  });
});
