import type { ValidatorFault } from '@salus/api';
import { membersMax } from './limits.ts';

type Fields = Readonly<Record<string, string | number>>;

/** CometBFT's numbers for misbehaviour that a block brings evidence of (ABCI MisbehaviorType). */
const kinds: Readonly<Record<number, ValidatorFault['kind']>> = { 1: 'double-vote', 2: 'light-client-attack' };
/** Every validator there ever was may have done everything. */
const faultsMax = 10 * membersMax;

/** What a member saw validators do against the rules since it started: one entry for each validator and kind. */
export class MemberFaults {
  readonly #faults = new Map<string, ValidatorFault>();

  /** Takes what the application reports; most of it is no fault. */
  note(event: string, fields: Fields): void {
    const { validator = '', height = 0, type = 0 } = fields;
    if (event === 'proposal-refused') this.#add('proposal-refused', String(validator), Number(height));
    const kind = event === 'validator-misbehaved' ? kinds[Number(type)] : undefined;
    if (kind) this.#add(kind, String(validator), Number(height));
  }

  list(): ValidatorFault[] {
    return [...this.#faults.values()];
  }

  #add(kind: ValidatorFault['kind'], validator: string, height: number): void {
    const name = `${kind} ${validator}`;
    const before = this.#faults.get(name);
    if (!before && this.#faults.size >= faultsMax) return;
    this.#faults.set(name, { kind, validator, height, count: (before?.count ?? 0) + 1 });
  }
}
