import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../program.ts';
import { createNetwork, type Network } from './network-directory.ts';
import { networkStatus } from './network-status.ts';
import { markStopped, stoppedSinceMs, unmarkStopped } from './stop-mark.ts';
import { powerOf } from './voting-power.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-single-'));
const dir = join(scratch, 'net');
let network: Network;
beforeAll(async () => {
  network = await createNetwork({ dir, validators: 2, basePort: 19_970 });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function salus(...args: string[]): Promise<{ exit: number; code: number; detail?: string; advice: string }> {
  const out: string[] = [];
  const exit = await run(['network', ...args, '--dir', dir, '--json'], {
    out: (text) => void out.push(text),
    err: () => undefined,
  });
  return { exit, ...JSON.parse(out.join('')) };
}

describe('R-PPL-5 one member of a network that does not run', () => {
  test.each(['stop', 'start'])('is not there to %s, and nothing is written', async (verb) => {
    expect(await salus(verb, 'clinic')).toMatchObject({ exit: 1, code: 830, advice: expect.stringContaining('start') });
    expect(await salus(verb, 'nobody')).toMatchObject({
      exit: 2,
      code: 716,
      detail: 'There is no member nobody in this network: hospital, clinic.',
    });
    expect(existsSync(join(dir, 'clinic.stopped'))).toBe(false);
  });

  test('is stopped by its operator, or does not answer', async () => {
    const [hospital, clinic] = network.members;
    markStopped(clinic!);
    const { ok, supervised, members } = await networkStatus(network);
    expect({ ok, supervised }).toEqual({ ok: false, supervised: false });
    expect(members[0]).toMatchObject({ problem: expect.stringContaining('the node does not answer') });
    expect(members[0]).not.toHaveProperty('stopped');
    expect(members[1]).toMatchObject({ stopped: new Date(stoppedSinceMs(clinic!)!).toISOString() });
    expect(members[1]).not.toHaveProperty('problem');
    // A network of which nothing is to run is not one that is in order.
    markStopped(hospital!);
    expect((await networkStatus(network)).ok).toBe(false);
    unmarkStopped(hospital!);
    unmarkStopped(clinic!);
    expect((await networkStatus(network)).members[1]).not.toHaveProperty('stopped');
  });
});

describe('R-PPL-5 the voting power that is there', () => {
  const validator = (address: string, power: number, hasSigned = true) => ({ address, power, hasSigned });
  const four = ['a', 'b', 'c', 'd'].map((address) => validator(address, 10));

  test.each([
    ['all there', four, {}, { total: 40, there: 40, needed: 27 }],
    ['one stopped', four, { a: false }, { total: 40, there: 30, needed: 27 }],
    ['two of four', four, { a: false, b: false }, { total: 40, there: 20, needed: 27 }],
    [
      'exactly two thirds are not more than two thirds',
      four.slice(1),
      { b: false },
      { total: 30, there: 20, needed: 21 },
    ],
    ['one alone', [validator('a', 1)], { a: true }, { total: 1, there: 1, needed: 1 }],
    [
      'elsewhere, and signed',
      [validator('x', 5), validator('a', 10)],
      { a: true },
      { total: 15, there: 15, needed: 11 },
    ],
    ['elsewhere, not signed', [validator('x', 5, false)], {}, { total: 5, there: 0, needed: 4 }],
    [
      'runs, though too late for the last block',
      [validator('a', 3, false)],
      { a: true },
      { total: 3, there: 3, needed: 3 },
    ],
  ])('%s', (_what, validators, known, power) => {
    expect(powerOf(validators, new Map(Object.entries(known)))).toEqual(power);
  });
});
