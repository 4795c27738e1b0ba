import { describe, expect, it } from 'vitest';
import { identityContract } from '../identity/index.ts';
import { kernelContract } from '../kernel/index.ts';
import { Kernel } from '../kernel/kernel.ts';
import { dayMs, type TestParticipant, testDigest, testKey, testMembers } from '../kernel/test-kit.ts';
import { applicationVersion, pendingVersion } from '../kernel/versions.ts';
import { Assembly, assemblyGenesis, EngineModel, ofMember, reason, validatorOf, votingMs } from './assembly.ts';
import { type Change, validatorPowerMax, validatorsMax } from './changes.ts';
import { governanceContract } from './index.ts';
import { member } from './queries.ts';
import { announcedSet, validatorUpdates } from './validators.ts';
import { keyWarnings } from './warnings.ts';

const { hospital, clinic, payer, regulator, patients } = testMembers();
type Label = keyof typeof ofMember;
const power = (label: Label, value: number): Change => ({
  kind: 'validators',
  changes: [{ publicKey: validatorOf(label), member: ofMember[label].did, power: value }],
});
const adding = (key: string, who: TestParticipant, value: number): Change => ({
  kind: 'validators',
  changes: [{ publicKey: testDigest(key), member: who.did, power: value }],
});
const rotating = (label: Label, key: string, overlapBlocks: number): Change => ({
  kind: 'rotateValidator',
  validator: validatorOf(label),
  publicKey: testDigest(key),
  overlapBlocks,
});

/** Blocks until a height, each looked at by the engine. */
function engineAt(assembly: Assembly, genesis = assemblyGenesis()) {
  const engine = new EngineModel(assembly.ledger, genesis);
  const { ledger } = assembly;
  const runBlock = ledger.runBlock.bind(ledger);
  let set = new Map<string, number>();
  ledger.runBlock = (transactions) => {
    const results = runBlock(transactions);
    set = engine.afterBlock();
    expect(engine.differences()).toEqual([]);
    return results;
  };
  const pass = (blocks: number): void => {
    for (let n = 0; n < blocks; n += 1) ledger.runBlock([]);
  };
  return { engine, pass, power: (key: string) => set.get(key) ?? 0, size: () => set.size };
}

describe('R-LED-6 R-LED-3 the validator set changes by votes', () => {
  it('adds, strengthens and removes, announced to the engine at the height that execution named', () => {
    const assembly = new Assembly();
    const at = engineAt(assembly);
    const add = adding('fifth', patients, 10);
    expect(assembly.proposing(add)).toBe('validatorUnsigned');
    expect(assembly.decide(add, [hospital, patients])).toBe('accepted');
    expect(at.power(testDigest('fifth'))).toBe(0);
    const height = assembly.ledger.height + 2;
    expect(validatorUpdates(assembly.ledger.reader(), height)).toEqual([{ publicKey: testDigest('fifth'), power: 10 }]);
    at.pass(2);
    expect([at.power(testDigest('fifth')), at.size()]).toEqual([10, 5]);
    expect(assembly.decide(power('payer', 12))).toBe('accepted');
    expect(assembly.decide(power('clinic', 0))).toBe('accepted');
    at.pass(5);
    expect([at.power(validatorOf('payer')), at.power(validatorOf('clinic')), at.size()]).toEqual([12, 0, 4]);
    expect(assembly.proposing(power('clinic', 10))).toBe('validatorRetired');
    expect(assembly.ledger.problems()).toEqual([]);
  });

  const cases: [title: string, change: Change, signers: TestParticipant[], error: string][] = [
    ['fewer than allowed', power('payer', 0), [hospital], 'validatorsTooFew'],
    ['more than a third for one', power('payer', 15), [hospital], 'powerTooLarge'],
    ['more than a third by several keys', adding('second', payer, 10), [hospital, payer], 'powerTooLarge'],
    [
      'more than a third by weakening others',
      {
        kind: 'validators',
        changes: (['clinic', 'payer'] as const).map((label) => ({
          publicKey: validatorOf(label),
          member: ofMember[label].did,
          power: 1,
        })),
      },
      [hospital],
      'powerTooLarge',
    ],
    ['the present power', power('payer', 10), [hospital], 'nothingToChange'],
    ['a power beyond every bound', power('payer', 1_000_001), [hospital], 'messageMalformed'],
    [
      'a key of another member',
      {
        kind: 'validators',
        changes: [{ publicKey: validatorOf('payer'), member: hospital.did, power: 9 }],
      },
      [hospital],
      'validatorOfOther',
    ],
    [
      'a key twice',
      {
        kind: 'validators',
        changes: [5, 6].map((value) => ({ publicKey: validatorOf('payer'), member: payer.did, power: value })),
      },
      [hospital],
      'validatorTwice',
    ],
    ['removing a key that is none', adding('none', payer, 0), [hospital], 'validatorUnknown'],
    ['rotating the key of another', rotating('payer', 'new', 5), [hospital], 'validatorOfOther'],
    [
      'rotating to a key that is in use',
      {
        kind: 'rotateValidator',
        validator: validatorOf('payer'),
        publicKey: validatorOf('clinic'),
        overlapBlocks: 5,
      },
      [payer],
      'validatorRetired',
    ],
    [
      'rotating to the same key',
      {
        kind: 'rotateValidator',
        validator: validatorOf('payer'),
        publicKey: validatorOf('payer'),
        overlapBlocks: 5,
      },
      [payer],
      'validatorTwice',
    ],
  ];
  it.each(cases)('but not to %s', (_title, change, signers, error) => {
    expect(new Assembly().proposing(change, signers)).toBe(error);
  });

  it('and never comes near the power that CometBFT can count (MaxTotalVotingPower, 2^63 / 8)', () => {
    // Twice: a rotation of every validator at once adds a key for each, though no power.
    expect(BigInt(2 * validatorsMax * validatorPowerMax)).toBeLessThan(2n ** 60n);
    const founders = Array.from({ length: validatorsMax + 1 }, (_, n) => ({
      publicKey: testDigest(`founding ${n}`),
      power: validatorPowerMax,
      member: hospital.did,
    }));
    expect(() => new Assembly({ validators: founders })).toThrow('validators');
    expect(() => new Assembly({ validators: founders.slice(1) })).not.toThrow();
    const stronger = [{ publicKey: testDigest('x'), power: validatorPowerMax + 1, member: hospital.did }];
    expect(() => new Assembly({ validators: stronger })).toThrow('power');
  });

  it('never to nobody, even where one validator is allowed', () => {
    const genesis = { validators: [{ publicKey: validatorOf('hospital'), power: 1, member: hospital.did }] };
    const assembly = new Assembly({ ...genesis, parameters: { validatorsMin: 1 } });
    expect(assembly.proposing(power('hospital', 0))).toBe('validatorsTooFew');
  });

  it('out of one validator, as genesis says, towards many, and never back', () => {
    const genesis = { validators: [{ publicKey: validatorOf('hospital'), power: 10, member: hospital.did }] };
    const assembly = new Assembly(genesis);
    const at = engineAt(assembly, assemblyGenesis(genesis));
    for (const [label, who] of [
      ['clinic', clinic],
      ['payer', payer],
      ['regulator', regulator],
    ] as const) {
      expect(assembly.decide(adding(label, who, 10), [hospital, who])).toBe('accepted');
    }
    at.pass(3);
    expect(at.size()).toBe(4);
    expect(assembly.proposing(adding('more', hospital, 10), [hospital])).toBe('powerTooLarge');
    expect(assembly.proposing(power('hospital', 0))).toBe('validatorsTooFew');
  });

  it('one after the other: of two that are right alone the second is refused when it is wrong after the first', () => {
    const assembly = new Assembly();
    expect(assembly.decide(adding('fifth', patients, 10), [hospital, patients])).toBe('accepted');
    const both = [power('clinic', 0), power('payer', 0)].map((change) => assembly.propose(change));
    for (const opened of both) assembly.approve(opened);
    assembly.ledger.advance(votingMs);
    expect(both.map((opened) => assembly.execute(opened))).toEqual(['accepted', 'validatorsTooFew']);
    expect(assembly.proposing(power('clinic', 5))).toBe('validatorPending');
    expect(announcedSet(assembly.ledger.reader())).toHaveLength(4);
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('in the order of execution, whatever height each asks for', () => {
    const assembly = new Assembly();
    const at = engineAt(assembly);
    const far = assembly.ledger.height + 60;
    expect(assembly.decide(adding('fifth', patients, 10), [hospital, patients], far)).toBe('accepted');
    expect(assembly.decide(power('clinic', 0))).toBe('accepted');
    expect(validatorUpdates(assembly.ledger.reader(), far)).toHaveLength(2);
    at.pass(far - assembly.ledger.height - 1);
    expect(at.size()).toBe(4);
    at.pass(1);
    expect([at.power(validatorOf('clinic')), at.power(testDigest('fifth'))]).toEqual([0, 10]);
  });

  it('by rotation with an overlap, in which both keys share the power and nobody gains any', () => {
    const assembly = new Assembly();
    const at = engineAt(assembly);
    expect(assembly.decide(rotating('payer', 'new', 5), [payer])).toBe('accepted');
    const [old, recent] = [validatorOf('payer'), testDigest('new')];
    const powers: number[][] = [];
    for (let n = 0; n < 8; n += 1) {
      at.pass(1);
      powers.push([at.power(old), at.power(recent)]);
    }
    expect(powers).toEqual([
      [10, 0],
      [5, 5],
      [5, 5],
      [5, 5],
      [5, 5],
      [5, 5],
      [0, 10],
      [0, 10],
    ]);
    expect(assembly.proposing(rotating('payer', 'newer', 0), [payer])).toBe('validatorUnknown');
    expect(assembly.ledger.problems()).toEqual([]);
  });

  it('by rotation from one block to the next, where the power cannot be shared', () => {
    const validators = Object.entries(ofMember).map(([label, { did }]) => ({
      publicKey: validatorOf(label),
      power: 1,
      member: did,
    }));
    const assembly = new Assembly({ validators });
    const at = engineAt(assembly, assemblyGenesis({ validators }));
    expect(assembly.proposing(rotating('payer', 'new', 5), [payer])).toBe('powerTooSmall');
    expect(assembly.decide(rotating('payer', 'new', 0), [payer])).toBe('accepted');
    at.pass(2);
    expect([at.power(validatorOf('payer')), at.power(testDigest('new')), at.size()]).toEqual([0, 1, 4]);
  });

  it.each([1, 3, 5])('takes both keys of a member that is removed %i blocks after it began to rotate', (blocks) => {
    const parameters = { validatorsMin: 3, validatorMemberPowerPerMilleMax: 334 };
    const assembly = new Assembly({ parameters });
    const at = engineAt(assembly);
    const removal = assembly.propose({ kind: 'remove', member: clinic.did });
    assembly.approve(removal);
    expect(assembly.decide(rotating('clinic', 'new', 30), [clinic])).toBe('accepted');
    at.pass(blocks);
    expect(assembly.execute(removal, hospital)).toBe('accepted');
    expect(member(assembly.ledger.reader(), clinic.did)?.status).toBe('removed');
    at.pass(40);
    expect([at.power(validatorOf('clinic')), at.power(testDigest('new')), at.size()]).toEqual([0, 0, 3]);
    expect(assembly.ledger.problems()).toEqual([]);
  });
});

describe('R-LED-6 upgrades are decided by vote', () => {
  const contracts = [kernelContract, identityContract, governanceContract];
  const upgrade: Change = { kind: 'upgrade', version: 2, release: reason };
  const chain = (latestVersion: number): Assembly =>
    new Assembly({}, contracts, new Kernel(contracts, { freezeValues: true, latestVersion }));

  it('announced ahead, in force at the height, and a program without it stops there', () => {
    const assembly = chain(1);
    const { ledger } = assembly;
    const height = ledger.height + 30;
    expect(assembly.decide(upgrade, [hospital], height)).toBe('accepted');
    expect(pendingVersion(ledger.reader(), ledger.height)).toEqual({ version: 2, height });
    expect(assembly.proposing({ kind: 'upgrade', version: 3, release: reason })).toBe('versionUnfit');
    while (ledger.height < height - 1) ledger.runBlock([]);
    expect(applicationVersion(ledger.reader(), ledger.height)).toBe(1);
    expect(ledger.kernel.upgradeNeeded(ledger, height)).toEqual({ version: 2, height, latestVersion: 1 });
    expect(() => ledger.runBlock([])).toThrow('version 2');
  });

  it('and can be taken back until then', () => {
    const assembly = chain(2);
    const { ledger } = assembly;
    expect(assembly.decide(upgrade, [hospital], ledger.height + 60)).toBe('accepted');
    expect(assembly.proposing({ kind: 'cancelUpgrade', version: 3 })).toBe('nothingAnnounced');
    expect(assembly.decide({ kind: 'cancelUpgrade', version: 2 })).toBe('accepted');
    expect(pendingVersion(ledger.reader(), ledger.height)).toBeUndefined();
    expect(assembly.decide(upgrade)).toBe('accepted');
    ledger.runBlock([]);
    const late = assembly.proposing({ kind: 'cancelUpgrade', version: 2 });
    expect([late, applicationVersion(ledger.reader(), ledger.height)]).toEqual(['nothingAnnounced', 2]);
  });
});

describe('R-LED-6 keys warn before they end', () => {
  it('by purpose: the last key of each counts, validator keys by their age', () => {
    const assembly = new Assembly();
    const { ledger } = assembly;
    const warnings = (withinMs: number) =>
      keyWarnings(ledger.reader(), ledger.timeMs, withinMs).map(({ member: did, purpose }) => [did, purpose]);
    expect(warnings(364 * dayMs)).toEqual([]);
    expect(warnings(366 * dayMs)).toHaveLength(4);
    const ending = { ...testKey('ending', 'next'), expiresMs: ledger.timeMs + 60 * dayMs };
    const rotate = { type: 'identity/rotateKey', participant: payer.did, name: 'sign', key: ending };
    ledger.accept([rotate], [payer]);
    expect(warnings(30 * dayMs)).toEqual([]);
    expect(warnings(90 * dayMs)).toEqual([[payer.did, 'sign']]);
    const lasting = { type: 'identity/addKey', participant: payer.did, key: testKey('lasting', 'last') };
    ledger.accept([lasting], [payer], { keyNames: { [payer.did]: 'next' } });
    expect(warnings(90 * dayMs)).toEqual([]);
  });
});
