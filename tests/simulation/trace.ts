import { createHash } from 'node:crypto';

const linesKept = 40;

export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
}

/** Everything that happened, as one digest: two runs of a seed are the same run when their digests are. */
export class Trace {
  step = 0;
  readonly #hash = createHash('sha256');
  readonly #now: () => number;
  readonly #isLoud: boolean;
  #last: string[] = [];

  constructor(now: () => number, isLoud: boolean) {
    this.#now = now;
    this.#isLoud = isLoud;
  }

  note(...words: readonly (string | number)[]): void {
    this.step += 1;
    const line = `${this.step} ${this.#now().toFixed(3)} ${words.join(' ')}`;
    this.#hash.update(`${line}\n`);
    this.#last.push(line);
    if (this.#last.length > linesKept) this.#last = this.#last.slice(-linesKept / 2);
    if (this.#isLoud) process.stdout.write(`${line}\n`);
  }

  /** The latest steps, oldest first. */
  tail(): readonly string[] {
    return this.#last;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
