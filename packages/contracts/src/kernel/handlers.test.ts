import { type Message, type ParsedTransaction, sha256, toBase64url, toHex, utf8 } from '@salus/protocol';
import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { identityContract } from '../identity/index.ts';
import { arbitraryNonsense, arbitraryRequest, arbitraryStamp, arbitraryStep, runStep } from './arbitraries.ts';
import { defineErrors, StateUnreadableError } from './errors.ts';
import { genesisHash } from './genesis.ts';
import {
  type Contract,
  defineMessage,
  Kernel,
  kernelContract,
  kernelErrors,
  listAppend,
  messageSchema,
} from './index.ts';
import { liveMinutesKey, minuteOf, ReplayTable } from './replay.ts';
import { decodeStored } from './stored-value.ts';
import {
  errorName,
  TestLedger,
  testDigest,
  testGenesis,
  testId,
  testKernel,
  testMembers,
  testParticipant,
} from './test-kit.ts';

const { hospital, clinic, payer } = testMembers();
const stamp = (label: string) => ({ type: 'kernel/stamp', digest: testDigest(label) });

/** A contract whose handlers misbehave in every way that a program can. */
function mischief(): Contract {
  const empty = (name: string) => messageSchema(`mischief/${name}`, {});
  const errors = defineErrors(20, { refused: [1, 'do something else'] });
  const message = (name: string, handle: (state: Parameters<Contract['messages'][string]['handle']>[0]) => void) => ({
    [`mischief/${name}`]: defineMessage({ schema: empty(name), cost: 1, handle: (state) => handle(state) }),
  });
  return {
    name: 'mischief',
    number: 20,
    messages: {
      ...message('throws', (state) => {
        state.put('mischief/trace/1', 1);
        throw new Error('secret detail');
      }),
      ...message('throwsNothing', () => {
        throw undefined;
      }),
      ...message('recurses', function recurse(state): void {
        recurse(state);
      }),
      ...message('writesFloat', (state) => state.put('mischief/value/1', 1.5)),
      ...message('writesUndefined', (state) => state.put('mischief/value/1', { absent: undefined })),
      ...message('writesElsewhere', (state) => state.put('identity/participant/x', 1)),
      ...message('writesBadKey', (state) => state.put('mischief/with space', 1)),
      ...message('mutates', (state) => {
        const value = state.get<{ status: string }>(`identity/participant/${hospital.did}`);
        if (value) value.status = 'ended';
      }),
      ...message('loops', (state) => {
        for (;;) state.put('mischief/value/1', 1);
      }),
      ...message('emitsFloat', (state) => state.emit('Odd', { part: 0.5 })),
      ...message('callsUnknown', (state) => {
        state.call('nobody', 'nothing', null);
      }),
      ...message('writes', (state) => {
        listAppend(state, 'mischief/list', 'all', 'entry');
        state.emit('Wrote', { n: 1 });
      }),
      ...message('removes', (state) => state.remove('mischief/list/all/0')),
    },
    errors,
    invariants: () => [],
  };
}

function mischiefLedger(): TestLedger {
  return new TestLedger([kernelContract, identityContract, mischief()]);
}

describe('R-LED-4 kernel: state that cannot be read', () => {
  it('is no result of any transaction, whichever key it is', () => {
    const ledger = new TestLedger();
    const tx = ledger.transaction([stamp('unread')], [hospital]);
    const transactions = [{ tx, keysUsed: ledger.keysUsed(tx) }];
    const context = { chain: tx.chain, height: 1, blockTimeMs: ledger.timeMs + 1 };
    const read = new Set<string>();
    const noting = {
      replaySeen: () => false,
      get: (key: string) => {
        read.add(key);
        return ledger.get(key);
      },
    };
    expect(ledger.kernel.executeBlock(transactions, noting, context).results[0]).toMatchObject({ code: 0 });
    expect(read.size).toBeGreaterThan(2);
    for (const broken of read) {
      const get = (key: string): Uint8Array | undefined => {
        if (key === broken) throw new StateUnreadableError('unread');
        return ledger.get(key);
      };
      const view = { replaySeen: () => false, get };
      expect(() => ledger.kernel.executeBlock(transactions, view, context), broken).toThrow(StateUnreadableError);
    }
    const unreadable = {
      replaySeen: () => false,
      get: () => {
        throw new StateUnreadableError('unread');
      },
    };
    expect(() => ledger.kernel.checkTransaction(transactions[0]!, unreadable, context)).toThrow(StateUnreadableError);
    const kid = tx.signatures[0]!.kid;
    expect(() => ledger.kernel.resolveKey(unreadable, kid, tx.payload)).toThrow(StateUnreadableError);
  });
});

describe('R-LED-4 kernel: a poisonous transaction is refused and leaves no trace', () => {
  const poisons: [name: string, error: string][] = [
    ['throws', 'handlerFault'],
    ['throwsNothing', 'handlerFault'],
    ['recurses', 'handlerFault'],
    ['writesFloat', 'handlerFault'],
    ['writesUndefined', 'handlerFault'],
    ['writesElsewhere', 'handlerFault'],
    ['writesBadKey', 'handlerFault'],
    ['mutates', 'handlerFault'],
    ['loops', 'costExceeded'],
    ['emitsFloat', 'handlerFault'],
    ['callsUnknown', 'handlerFault'],
  ];
  it.each(poisons)('%s', (name, error) => {
    const ledger = mischiefLedger();
    const before = [...ledger.state.keys()];
    const messages = [{ type: 'mischief/writes' }, stamp('poison'), { type: `mischief/${name}` }];
    const poisoned = { tx: ledger.transaction(messages, [hospital]), keysUsed: [hospital.thumbprint] };
    const sound = { tx: ledger.transaction([stamp('sound')], [clinic]), keysUsed: [clinic.thumbprint] };
    const [refused, accepted] = ledger.runBlock([poisoned, sound]);
    expect(errorName(ledger, refused!)).toBe(error);
    expect(refused).toMatchObject({ events: [], outputs: [] });
    expect(refused!.log).not.toContain('secret');
    expect(accepted!.code).toBe(0);
    const added = [...ledger.state.keys()].filter((key) => !before.includes(key) && !key.startsWith('kernel/replay/'));
    expect(added).toEqual([`kernel/stamp/${clinic.did}/${testDigest('sound')}`]);
    expect(ledger.problems()).toEqual([]);
  });

  it('keeps all of a transaction or nothing, and later transactions see what earlier ones wrote', () => {
    const ledger = mischiefLedger();
    const write = () => ({
      tx: ledger.transaction([{ type: 'mischief/writes' }], [hospital]),
      keysUsed: [hospital.thumbprint],
    });
    const results = ledger.runBlock([write(), write(), write()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(ledger.value('mischief/list/all/count')).toBe(3);
    ledger.accept([{ type: 'mischief/removes' }], [hospital]);
    expect(ledger.state.has('mischief/list/all/0')).toBe(false);
  });
});

describe('R-LED-1 kernel: what may enter', () => {
  const cases: [title: string, error: string, run: (ledger: TestLedger) => ReturnType<TestLedger['run']>][] = [
    ['another chain', 'chainDiffers', (l) => l.run([stamp('a')], [hospital], { chain: 'other' })],
    ['validUntil at block time', 'expired', (l) => l.run([stamp('a')], [hospital], { validUntil: l.timeMs + 1_000 })],
    ['validUntil just after', 'accepted', (l) => l.run([stamp('a')], [hospital], { validUntil: l.timeMs + 1_001 })],
    ['ten minutes', 'accepted', (l) => l.run([stamp('a')], [hospital], { validUntil: l.timeMs + 601_000 })],
    ['more', 'validityTooLong', (l) => l.run([stamp('a')], [hospital], { validUntil: l.timeMs + 601_001 })],
    ['unknown type', 'messageUnknown', (l) => l.run([{ type: 'kernel/other' }], [hospital])],
    ['reserved type', 'messageReserved', (l) => l.run([{ type: 'identity/setGuardians' }], [hospital])],
    ['missing member', 'messageMalformed', (l) => l.run([{ type: 'kernel/stamp' }], [hospital])],
    ['additional member', 'messageMalformed', (l) => l.run([{ ...stamp('a'), note: 'x' }], [hospital])],
    [
      'no canonical base64url',
      'messageMalformed',
      (l) => l.run([{ type: 'kernel/stamp', digest: 'B'.repeat(43) }], [hospital]),
    ],
    ['unknown signer', 'signerUnknown', (l) => l.run([stamp('a')], [testParticipant('stranger')])],
    ['unknown key', 'signerUnknown', (l) => l.run([stamp('a')], [hospital], { keyNames: { [hospital.did]: 'other' } })],
    [
      'encryption key',
      'signerNotActive',
      (l) => l.run([stamp('a')], [hospital], { keyNames: { [hospital.did]: 'encrypt' } }),
    ],
    [
      'another key than verified',
      'signerKeyChanged',
      (l) => l.run([stamp('a')], [hospital], { keysUsed: [clinic.thumbprint] }),
    ],
    ['no key verified', 'signaturesMissing', (l) => l.run([stamp('a')], [hospital], { keysUsed: [] })],
    ['stamped twice', 'stampExists', (l) => l.run([stamp('a'), stamp('a')], [hospital])],
  ];
  it.each(cases)('%s: %s', (_title, error, run) => {
    const ledger = new TestLedger();
    expect(errorName(ledger, run(ledger))).toBe(error);
    expect(ledger.problems()).toEqual([]);
  });

  it('names the member that a schema refuses, and not its value', () => {
    const result = new TestLedger().run([{ type: 'kernel/stamp', digest: 'my diagnosis' }], [hospital]);
    expect(result.log).toContain('/digest');
    expect(result.log).not.toContain('diagnosis');
  });

  it('does not repeat a member that a schema does not have', () => {
    const digest = 'A'.repeat(43);
    const run = (message: Message): string => new TestLedger().run([message], [hospital]).log;
    const log = run({ type: 'kernel/stamp', digest, 'my diagnosis': 1 } as Message);
    expect(log).toBe(
      'messageMalformed: the message has a member that is not known; correct the member that the log names',
    );
    const change = { kind: 'parameter', name: 'a', value: 1, 'my/diagnosis': 1 };
    const nested = run({ type: 'governance/propose', change, reason: digest, activationHeight: 0 } as Message);
    expect(nested).toContain('/change');
    expect(nested).not.toContain('diagnosis');
  });

  it('accepts what is really signed, and refuses what another key signed', async () => {
    const ledger = new TestLedger();
    expect(await ledger.runSigned([stamp('signed')], [hospital])).toMatchObject({ code: 0, log: '' });
    const forged = { ...hospital, signer: { kid: hospital.kid, sign: clinic.signer.sign } };
    const result = await ledger.runSigned([stamp('forged')], [forged]);
    expect(errorName(ledger, result)).toBe('signerKeyChanged');
  });

  it('says before the block what it says in the block', () => {
    const ledger = new TestLedger();
    const context = { chain: 'salus-test', height: 1, blockTimeMs: ledger.timeMs };
    const check = (tx: ParsedTransaction, { thumbprint } = hospital) =>
      ledger.kernel.checkTransaction({ tx, keysUsed: [thumbprint] }, ledger, context);
    expect(check(ledger.transaction([stamp('a')], [hospital])).code).toBe(0);
    expect(check(ledger.transaction([stamp('a')], [testParticipant('stranger')])).code).toBe(
      kernelErrors.signerUnknown.code,
    );
    const tx = ledger.transaction([stamp('b')], [hospital]);
    expect(check(tx, clinic).code).toBe(kernelErrors.signerKeyChanged.code);
    ledger.runBlock([{ tx, keysUsed: [hospital.thumbprint] }]);
    expect(check(tx).code).toBe(kernelErrors.replayed.code);
  });
});

describe('R-LED-1 kernel: replay protection', () => {
  it('refuses a second use of (sender, id) in the same block, later, and after a refusal', () => {
    const ledger = new TestLedger();
    const validUntil = ledger.timeMs + 500_000;
    const make = (label: string) => ({
      tx: ledger.transaction([stamp(label)], [hospital], { id: testId('one'), validUntil }),
      keysUsed: [hospital.thumbprint],
    });
    const results = ledger.runBlock([make('first'), make('second')]);
    expect(results.map((result) => errorName(ledger, result))).toEqual(['accepted', 'replayed']);
    expect(errorName(ledger, ledger.runBlock([make('third')])[0]!)).toBe('replayed');
    const refused = { id: testId('two'), validUntil };
    expect(errorName(ledger, ledger.run([stamp('first')], [hospital], refused))).toBe('stampExists');
    expect(errorName(ledger, ledger.run([stamp('fourth')], [hospital], refused))).toBe('replayed');
    expect(errorName(ledger, ledger.run([stamp('first')], [clinic], refused))).toBe('accepted');
  });

  it('does not use up an id whose signature is not by the sender', () => {
    const ledger = new TestLedger();
    const options = { id: testId('one'), keysUsed: [payer.thumbprint] };
    expect(errorName(ledger, ledger.run([stamp('a')], [hospital], options))).toBe('signerKeyChanged');
    expect(errorName(ledger, ledger.run([stamp('a')], [hospital], { id: testId('one') }))).toBe('accepted');
  });

  it('chains the digest as ADR 1 says, and removes buckets that have passed with the next transaction', () => {
    const ledger = new TestLedger();
    const validUntil = ledger.timeMs + 61_000;
    ledger.accept([stamp('a')], [hospital], { id: testId('a'), validUntil });
    ledger.accept([stamp('b')], [clinic], { id: testId('b'), validUntil });
    const ids = [hospital, clinic].map(({ did }, index) => sha256(utf8(`${did}|${testId(index === 0 ? 'a' : 'b')}`)));
    const digest = sha256(sha256(new Uint8Array(32), ids[0]!), ids[1]!);
    const bucket = `kernel/replay/${minuteOf(validUntil)}`;
    expect(ledger.value<{ count: number; digest: Uint8Array }>(bucket)).toEqual({ count: 2, digest });
    ledger.advance(700_000);
    ledger.accept([stamp('c')], [hospital]);
    expect(ledger.state.has(bucket)).toBe(false);
    expect(ledger.value<number[]>(liveMinutesKey)).toHaveLength(1);
  });

  it('finds a side table that lost, gained or reordered an id', () => {
    const ledger = new TestLedger();
    for (const label of ['a', 'b', 'c'])
      ledger.accept([stamp(label)], [hospital], { validUntil: ledger.timeMs + 400_000 });
    const entries = [...ledger.replay.entries()];
    const changed = (change: (ids: Uint8Array[]) => Uint8Array[]) =>
      ReplayTable.restore(entries.map(({ minute, ids }) => ({ minute, ids: change(ids) })));
    expect(changed((ids) => ids).problems(ledger, ledger.timeMs)).toEqual([]);
    expect(changed((ids) => ids.slice(1)).problems(ledger, ledger.timeMs)).not.toEqual([]);
    expect(changed((ids) => [...ids, new Uint8Array(32)]).problems(ledger, ledger.timeMs)).not.toEqual([]);
    expect(changed((ids) => ids.toReversed()).problems(ledger, ledger.timeMs)).not.toEqual([]);
  });
});

describe('R-LED-1 kernel: state and results', () => {
  it('stores salt ‖ version ‖ CBOR, salted by transaction and key', () => {
    const ledger = new TestLedger();
    const tx = ledger.transaction([stamp('a')], [hospital]);
    ledger.runBlock([{ tx, keysUsed: [hospital.thumbprint] }]);
    const key = `kernel/stamp/${hospital.did}/${testDigest('a')}`;
    const stored = ledger.get(key)!;
    expect(toHex(stored.subarray(0, 16))).toBe(
      toHex(sha256(utf8('salus-salt-v1'), tx.hash, utf8(key)).subarray(0, 16)),
    );
    expect(stored[16]).toBe(1);
    expect(decodeStored(stored)).toEqual({ height: 1, timeMs: ledger.timeMs });
  });

  it('salts genesis with its hash and gives the same state for the same document', () => {
    const kernel = new Kernel([kernelContract, identityContract]);
    const [first, second] = [kernel.genesis(testGenesis()), kernel.genesis(testGenesis())];
    expect(first).toEqual(second);
    const stored = first.get('kernel/chain')!;
    const salt = sha256(utf8('salus-salt-v1'), genesisHash(testGenesis()), utf8('kernel/chain')).subarray(0, 16);
    expect(toHex(stored.subarray(0, 16))).toBe(toHex(salt));
  });

  it('digests events and outputs', () => {
    const ledger = new TestLedger();
    const { data, events } = ledger.accept([stamp('a')], [hospital]);
    expect(events).toEqual([
      { type: 'kernel/Stamped', attributes: { participant: hospital.did, digest: testDigest('a') } },
    ]);
    expect(toBase64url(data)).not.toBe(toBase64url(ledger.accept([stamp('b')], [hospital]).data));
  });
});

describe('R-LED-4 kernel: registration', () => {
  const contract = (schema: Parameters<typeof defineMessage>[0]['schema']): Contract => ({
    name: 'trial',
    number: 30,
    messages: { 'trial/m': defineMessage({ schema, cost: 1, handle: () => undefined }) },
    errors: {},
    invariants: () => [],
  });
  it.each([
    ['an open object', Type.Object({ type: Type.Literal('trial/m') })],
    ['an unbounded string', messageSchema('trial/m', { a: Type.String() })],
    ['an unbounded list', messageSchema('trial/m', { a: Type.Array(Type.Boolean()) })],
    ['an unbounded integer', messageSchema('trial/m', { a: Type.Integer() })],
    ['a float', messageSchema('trial/m', { a: Type.Number({ minimum: 0, maximum: 1 }) })],
    ['anything', messageSchema('trial/m', { a: Type.Any() })],
  ])('does not start with %s in a message', (_title, schema) => {
    expect(() => new Kernel([contract(schema)])).toThrow(/open or unbounded/);
  });

  it('does not start with contracts out of order, foreign types or an error number used twice', () => {
    expect(() => new Kernel([identityContract, kernelContract])).toThrow(/must come before/);
    const sound = messageSchema('trial/m', {});
    expect(() => new Kernel([{ ...contract(sound), name: 'other' }])).toThrow(/is not a message of/);
    expect(() => defineErrors(9, { a: [1, 'x'], b: [1, 'y'] })).toThrow(/number of its own/);
  });
});

describe('R-LED-1 kernel: any sequence of transactions', () => {
  const people = [hospital, clinic, testParticipant('stranger')];
  const steps = fc.array(arbitraryStep(arbitraryRequest(fc.oneof(arbitraryStamp, arbitraryNonsense), people)), {
    maxLength: 25,
  });

  it('gives the same results and the same state on every replica, and breaks no invariant', () => {
    const replica = testKernel();
    fc.assert(
      fc.property(steps, (sequence) => {
        const [one, other] = [new TestLedger(), new TestLedger(undefined, undefined, replica)];
        for (const step of sequence) {
          const before = one.contractFingerprint();
          const result = runStep(one, step);
          expect(runStep(other, step)).toEqual(result);
          if (result.code !== 0) expect(one.contractFingerprint()).toBe(before);
        }
        expect(one.fingerprint()).toBe(other.fingerprint());
        expect(one.problems()).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});
