type Listener = (transaction: Uint8Array, error: unknown) => void;

/** Tells whoever wants to know of transactions that came in by HTTP and never reached a block. */
export class Refusals {
  readonly #listeners: Listener[] = [];

  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  tell(transaction: Uint8Array, error: unknown): void {
    for (const listener of this.#listeners) listener(transaction, error);
  }
}
