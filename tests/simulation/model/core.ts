/**
 * What the contracts must do, written from their specifications (packages/contracts/src/<contract>/README.md and the
 * domains' description) and sharing no code with them. A message has reasons against it or none: the ledger must refuse
 * with one of the reasons, and accept where there is none.
 */

/** Tables that can be put back as they were: what is tried out, or refused, leaves nothing. */
export class Journal {
  #undo: (() => void)[] = [];

  mark(): number {
    return this.#undo.length;
  }

  note(undo: () => void): void {
    this.#undo.push(undo);
  }

  backTo(mark: number): void {
    for (const undo of this.#undo.splice(mark).reverse()) undo();
  }

  forget(): void {
    this.#undo = [];
  }
}

/** Values are replaced, never changed. */
export class Table<V> {
  readonly #journal: Journal;
  readonly #rows = new Map<string, V>();
  readonly #touched = new Set<string>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get(key: string): V | undefined {
    return this.#rows.get(key);
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  set(key: string, value: V): void {
    const before = this.#rows.get(key);
    const isNew = !this.#rows.has(key);
    this.#touched.add(key);
    this.#journal.note(() => {
      if (isNew) this.#rows.delete(key);
      else this.#rows.set(key, before as V);
    });
    this.#rows.set(key, value);
  }

  delete(key: string): void {
    this.#touched.add(key);
    const before = this.#rows.get(key);
    if (!this.#rows.delete(key)) return;
    this.#journal.note(() => this.#rows.set(key, before as V));
  }

  /** Rows that may have changed since this was asked last. */
  takeTouched(): string[] {
    const touched = [...this.#touched];
    this.#touched.clear();
    return touched;
  }

  keys(): string[] {
    return [...this.#rows.keys()];
  }

  entries(): [string, V][] {
    return [...this.#rows];
  }
}

export type MessageJson = { type: string } & Record<string, unknown>;
export type Context = { sender: string; signers: readonly string[]; timeMs: number; height: number };
/** Why a message must be refused, or what it does. */
export type Judgement = { reasons: number[]; apply: () => void };

export function refusedFor(...reasons: number[]): Judgement {
  return { reasons, apply: () => undefined };
}

/** Collects reasons: each fact that must hold, and the code where it does not. */
export class Reasons {
  readonly codes: number[] = [];

  unless(holds: unknown, code: number): this {
    if (!holds) this.codes.push(code);
    return this;
  }

  add(codes: readonly number[]): this {
    this.codes.push(...codes);
    return this;
  }

  effect(apply: () => void): Judgement {
    return { reasons: this.codes, apply };
  }
}

export const dayMs = 86_400_000;
export const monthMs = 30 * dayMs;
