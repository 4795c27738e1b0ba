import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { builtInContracts } from '@salus/contracts';
import { describe, expect, it } from 'vitest';

/** Each in a process of its own, as `npm run sim` starts it: the simulation replaces clocks and timers. */
const main = fileURLToPath(new URL('./main.ts', import.meta.url));

type Ended = { code: number | null; text: string };

function simulate(...args: (string | number)[]): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (part: string) => {
        text += part;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, text }));
  });
}

const traceOf = ({ text }: Ended): string | undefined => /trace ([0-9a-f]{64})/.exec(text)?.[1];
const small = ['--transactions', 150, '--faults', 3] as const;

/** Simulated time is what counts; a busy machine takes longer for it. */
const patienceMs = 600_000;

describe('R-LED-3 simulation', { timeout: patienceMs }, () => {
  it('the same seed is the same run, step by step, also behind other seeds', async () => {
    const [alone, again, behind] = await Promise.all([
      simulate('--seed', 7, ...small),
      simulate('--seed', 7, ...small),
      simulate('--seed', 6, '--seeds', 2, ...small),
    ]);
    expect([alone.text, alone.code]).toEqual([again.text, 0]);
    expect(traceOf(alone)).toHaveLength(64);
    expect(behind.text).toContain(traceOf(alone));
  });

  it('another seed, and other faults, are another run', async () => {
    const runs = await Promise.all([
      simulate('--seed', 7, ...small),
      simulate('--seed', 8, ...small),
      simulate('--seed', 7, '--transactions', 150, '--faults', 0),
    ]);
    expect(new Set(runs.map(traceOf)).size).toBe(3);
  });

  it.each(['random', 'order', 'clock'])(
    'finds a handler that depends on %s, and says how to see it again',
    async (plant) => {
      const [first, second] = await Promise.all([
        simulate('--seed', 3, ...small, '--plant', plant),
        simulate('--seed', 3, ...small, '--plant', plant),
      ]);
      expect(first.code).toBe(1);
      expect(first.text).toMatch(/seed 3 fails at step \d+: .* answers block \d+ otherwise than others did/);
      expect(first.text).toContain('npm run sim -- --seed 3 --transactions 150 --faults 3');
      expect(second.text).toBe(first.text);
    },
  );

  it('finds a handler that accepts what its specification refuses', async () => {
    const { code, text } = await simulate('--seed', 3, ...small, '--plant', 'open');
    expect(code).toBe(1);
    expect(text).toMatch(/has code 0, the model says \d+/);
  });

  it('finds a member that forgets what it acknowledged', async () => {
    const { code, text } = await simulate('--seed', 3, ...small, '--plant', 'unsynced');
    expect(code).toBe(1);
    expect(text).toMatch(/lost block \d+ that it had acknowledged|does not read back/);
  });

  it('reaches every message type and most results of the contracts', async () => {
    const { code, text } = await simulate('--seed', 1, '--seeds', 4, '--faults', 3, '--transactions', 700);
    expect([code, /(\d+) failed/.exec(text)?.[1]]).toEqual([0, '0']);
    const types = builtInContracts.flatMap(({ messages }) => Object.keys(messages));
    expect(types.length - Number(/(\d+) message types accepted/.exec(text)?.[1])).toBeLessThanOrEqual(1);
    expect(Number(/(\d+) result codes met/.exec(text)?.[1])).toBeGreaterThan(85);
  });
});
