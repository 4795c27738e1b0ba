import { describe, expect, test } from 'vitest';
import { waitFor } from './run-network.ts';

const longMs = 3_600_000;

describe('R-PPL-5 waiting for the members', () => {
  test('ends with the network: nothing goes on asking, and the process of `network start` can end', async () => {
    const end = Promise.withResolvers<void>();
    let asked = 0;
    const isReady = async (): Promise<boolean> => {
      asked += 1;
      if (asked === 2) end.resolve();
      return false;
    };
    expect(await waitFor(isReady, longMs, end.promise)).toBe(false);
    expect(asked).toBe(2);
  });

  test('ends when they are ready, and when the time is over', async () => {
    expect(await waitFor(async () => true, 0)).toBe(true);
    expect(await waitFor(async () => false, 0)).toBe(false);
  });
});
