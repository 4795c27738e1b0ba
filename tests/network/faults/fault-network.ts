import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CometRpc } from '@salus/ledger';
import { cometHomeOf } from '../../../packages/cli/src/network/comet-home.ts';
import type { TestMember } from '../test-network.ts';

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const waitMsMax = 120_000;
/** What was on its way when votes stopped may still be decided: so long nothing may have moved. */
const stillMs = 4_000;

/** Waits until something holds; throws what was waited for when it never does. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + waitMsMax;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await sleep(100);
  }
}

/** Rewrites a member's CometBFT configuration. */
export function configure(member: TestMember, change: (config: string) => string): void {
  const path = join(cometHomeOf(member.member.dataDir), 'config', 'config.toml');
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}

export async function rpc<T>(member: TestMember, method: string, params: Record<string, unknown> = {}): Promise<T> {
  const client = new CometRpc(member.member.ports.rpc, new URL(member.url).hostname);
  try {
    return (await client.call(method, params)) as T;
  } finally {
    client.close();
  }
}

/** The highest block of any of these, once no block came for a while. */
export async function standstill(members: readonly TestMember[]): Promise<number> {
  const highest = async () => Math.max(...(await Promise.all(members.map((member) => member.height()))));
  const end = Date.now() + waitMsMax;
  for (let height = await highest(); ; ) {
    await sleep(stillMs);
    const next = await highest();
    if (next === height) return height;
    if (Date.now() > end) throw new Error('the chain goes on');
    height = next;
  }
}

/** Sends the same bytes until a block has them: whoever is being cut off or restarted answers something else first. */
export async function committed(member: TestMember, bytes: Uint8Array): ReturnType<TestMember['commit']> {
  let last: unknown;
  const end = Date.now() + waitMsMax;
  while (Date.now() < end) {
    try {
      return await member.commit(bytes);
    } catch (error) {
      last = error;
      await sleep(200);
    }
  }
  throw last;
}

/** Lines of a member's log that tell of this event. */
export function logged(member: TestMember, event: string): Record<string, unknown>[] {
  const lines = readFileSync(join(member.member.dataDir, 'member.log'), 'utf8').split('\n');
  return lines.filter((line) => line.includes(`"${event}"`)).map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Evidence in the blocks of these heights, as a member's CometBFT gives them. */
export async function evidenceIn(
  member: TestMember,
  from: number,
  to: number,
): Promise<{ type: string; height: number }[]> {
  type Answer = { block: { evidence: { evidence: { type: string }[] } } };
  const found: { type: string; height: number }[] = [];
  for (let height = from; height <= to; height += 1) {
    const { block } = await rpc<Answer>(member, 'block', { height: String(height) });
    found.push(...block.evidence.evidence.map(({ type }) => ({ type, height })));
  }
  return found;
}
