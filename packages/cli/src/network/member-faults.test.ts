import { describe, expect, it } from 'vitest';
import { MemberFaults } from './member-faults.ts';

describe('R-LED-3 what a member saw validators do against the rules', () => {
  it('is counted for each validator and kind, with the latest height', () => {
    const faults = new MemberFaults();
    faults.note('validator-misbehaved', { type: 1, height: 4, validator: 'aa' });
    faults.note('validator-misbehaved', { type: 1, height: 9, validator: 'aa' });
    faults.note('validator-misbehaved', { type: 2, height: 9, validator: 'aa' });
    faults.note('proposal-refused', { height: 5, validator: 'bb', reason: 'the same transaction twice' });
    expect(faults.list()).toEqual([
      { kind: 'double-vote', validator: 'aa', height: 9, count: 2 },
      { kind: 'light-client-attack', validator: 'aa', height: 9, count: 1 },
      { kind: 'proposal-refused', validator: 'bb', height: 5, count: 1 },
    ]);
  });

  it('is nothing else that the application reports, and no kind without a name', () => {
    const faults = new MemberFaults();
    faults.note('snapshot-made', { height: 20, chunks: 1 });
    faults.note('validator-misbehaved', { type: 0, height: 4, validator: 'aa' });
    expect(faults.list()).toEqual([]);
  });

  it('is bounded', () => {
    const faults = new MemberFaults();
    for (let index = 0; index < 10_000; index += 1)
      faults.note('proposal-refused', { height: 1, validator: `${index}` });
    const { length } = faults.list();
    expect(length).toBeLessThan(1_000);
    faults.note('proposal-refused', { height: 2, validator: '0' });
    expect(faults.list()).toHaveLength(length);
    expect(faults.list()[0]).toMatchObject({ height: 2, count: 2 });
  });
});
