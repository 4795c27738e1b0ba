/** Deterministic randomness: the same seed gives the same patients on every machine. Not for cryptography. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed` may be any text; independent streams come from different texts. */
  constructor(seed: string) {
    let hash = 2_166_136_261;
    const words: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      for (const character of `${round}/${seed}`) {
        hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619);
        hash ^= hash >>> 15;
      }
      words.push(hash >>> 0);
    }
    [this.#a = 1, this.#b = 2, this.#c = 3] = words;
    for (let warmUp = 0; warmUp < 12; warmUp += 1) this.word();
  }

  /** Uniform 32 bits (sfc32). */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.word() / 4_294_967_296;
  }

  /** Whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** A number around `mean`, at most `spread` away, with one or more decimals kept. */
  around(mean: number, spread: number, decimals = 0): number {
    const factor = 10 ** decimals;
    const value = mean + (this.next() + this.next() - 1) * spread;
    return Math.round(value * factor) / factor;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new RangeError('Nothing to pick from.');
    return item;
  }

  digits(count: number): string {
    return Array.from({ length: count }, () => this.int(0, 9)).join('');
  }

  /** A UUID of version 4 by its form (RFC 9562 §5.4). */
  uuid(): string {
    const hex = Array.from({ length: 4 }, () => this.word().toString(16).padStart(8, '0')).join('');
    const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}
