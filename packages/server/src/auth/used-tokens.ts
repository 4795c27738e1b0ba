/** Tokens for one use that are remembered until they expire. More at once are refused, not forgotten. */
export const usedTokensMax = 100_000;

/**
 * Which tokens for one use were used. It remembers in memory alone: of the time before it began it knows nothing, and so
 * takes no token that was issued then.
 */
export class UsedTokens {
  readonly #sinceMs: number;
  readonly #expiresMs = new Map<string, number>();

  /** `sinceMs`: when this node began to remember. */
  constructor(sinceMs: number) {
    // Tokens name the second in which they were issued.
    this.#sinceMs = Math.floor(sinceMs / 1000) * 1000;
  }

  /** True at the first use of a token that was issued since the beginning. */
  take(name: string, times: { issuedMs: number; expiresMs: number }, nowMs: number): boolean {
    if (times.issuedMs < this.#sinceMs || this.#expiresMs.has(name)) return false;
    if (this.#expiresMs.size >= usedTokensMax) this.#forget(nowMs);
    if (this.#expiresMs.size >= usedTokensMax) return false;
    this.#expiresMs.set(name, times.expiresMs);
    return true;
  }

  #forget(nowMs: number): void {
    for (const [name, expiresMs] of this.#expiresMs) if (expiresMs <= nowMs) this.#expiresMs.delete(name);
  }
}
