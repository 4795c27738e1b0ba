import { describe, expect, it } from 'vitest';
import { governanceContract } from '../governance/index.ts';
import { identityContract } from '../identity/index.ts';
import { kernelContract } from './index.ts';
import { Kernel } from './kernel.ts';
import { messageSchema } from './schemas.ts';
import { errorName, TestLedger, testGenesis, testMembers } from './test-kit.ts';
import { type Contract, defineMessage, type MessageDefinition } from './types.ts';
import { applicationVersion, pendingVersion, UpgradeNeededError } from './versions.ts';

const { hospital } = testMembers();
const answering = (type: string, answer: string, more: Partial<MessageDefinition> = {}): MessageDefinition =>
  defineMessage({ schema: messageSchema(type, {}), cost: 1, handle: () => answer, ...more });

/** Announces and cancels versions as governance does; its greeting changes with version 2, a farewell comes with it. */
const changing: Contract = {
  name: 'changing',
  number: 90,
  messages: {
    'changing/announce': answering('changing/announce', '', {
      handle: (state, _, { height }) => state.call('kernel', 'scheduleVersion', [2, height + 2]) as number,
    }),
    'changing/cancel': answering('changing/cancel', '', {
      handle: (state) => state.call('kernel', 'cancelVersion', null) as number,
    }),
    'changing/greet': answering('changing/greet', 'hello', {
      revisions: [answering('changing/greet', 'good day', { since: 2 })],
    }),
    'changing/leave': answering('changing/leave', 'goodbye', { since: 2 }),
  },
  errors: {},
  invariants: () => [],
};
const contracts = [kernelContract, identityContract, governanceContract, changing];
const chain = (latestVersion: number): TestLedger =>
  new TestLedger(contracts, testGenesis(), new Kernel(contracts, { freezeValues: true, latestVersion }));

/** What a message answers: its output, or the name of the error. */
function say(ledger: TestLedger, verb: string): unknown {
  const result = ledger.run([{ type: `changing/${verb}` }], [hospital]);
  return result.code === 0 ? result.outputs[0] : errorName(ledger, result);
}

describe('R-LED-6 upgrades: behaviour changes at an announced height', () => {
  it('picks the handlers of the version that is in force, from the first transaction of the block', () => {
    const ledger = chain(2);
    expect([say(ledger, 'greet'), say(ledger, 'leave')]).toEqual(['hello', 'messageReserved']);
    expect(say(ledger, 'announce')).toBe(2);
    expect(pendingVersion(ledger.reader(), ledger.height)).toEqual({ version: 2, height: ledger.height + 2 });
    expect(say(ledger, 'greet')).toBe('hello');
    expect([say(ledger, 'greet'), say(ledger, 'leave')]).toEqual(['good day', 'goodbye']);
    expect(applicationVersion(ledger.reader(), ledger.height)).toBe(2);
    expect(applicationVersion(ledger.reader(), 1)).toBe(1);
    expect(pendingVersion(ledger.reader(), ledger.height)).toBeUndefined();
    expect(ledger.problems()).toEqual([]);
  });

  it('takes back what is announced, but not what is in force', () => {
    const ledger = chain(2);
    expect([say(ledger, 'announce'), say(ledger, 'cancel')]).toEqual([2, 2]);
    expect([say(ledger, 'greet'), say(ledger, 'greet')]).toEqual(['hello', 'hello']);
    expect(say(ledger, 'announce')).toBe(2);
    expect([say(ledger, 'greet'), say(ledger, 'cancel')]).toEqual(['hello', 'handlerFault']);
    expect(say(ledger, 'greet')).toBe('good day');
  });

  it('stops a program that does not know the version, before the block and with its state whole', () => {
    const [old, recent] = [chain(1), chain(2)];
    for (const ledger of [old, recent]) {
      say(ledger, 'announce');
      say(ledger, 'greet');
    }
    const before = old.fingerprint();
    expect(before).toBe(recent.fingerprint());
    const height = old.height + 1;
    expect(old.kernel.upgradeNeeded(old, height - 1)).toBeUndefined();
    expect(old.kernel.upgradeNeeded(old, height)).toEqual({ version: 2, height, latestVersion: 1 });
    expect(recent.kernel.upgradeNeeded(recent, height)).toBeUndefined();
    expect(() => say(old, 'greet')).toThrow(UpgradeNeededError);
    expect(old.fingerprint()).toBe(before);
    const context = { chain: testGenesis().chain, height, blockTimeMs: old.timeMs };
    const tx = old.transaction([{ type: 'changing/greet' }], [hospital]);
    expect(old.kernel.error(old.kernel.checkTransaction({ tx, keysUsed: [] }, old, context).code)?.name).toBe(
      'versionUnknown',
    );
    expect(say(recent, 'greet')).toBe('good day');
  });

  it('refuses contracts whose revisions are not in the order of versions', () => {
    const revisions = [answering('changing/greet', 'a', { since: 1 })];
    const wrong = { ...changing, messages: { 'changing/greet': answering('changing/greet', 'b', { revisions }) } };
    expect(() => new Kernel([kernelContract, wrong])).toThrow('order of versions');
  });
});
