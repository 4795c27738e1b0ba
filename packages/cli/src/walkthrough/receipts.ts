import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalJson, type JsonValue, parseAnchor, type ReceiptReport, utf8, verifyReceipt } from '@salus/protocol';

const triesMax = 50;
const pauseMs = 100;

/** Collects receipts and proofs, one file each, with the anchor that they verify against. */
export class ReceiptFolder {
  readonly dir: string;
  readonly files: string[] = [];
  readonly #url: string;
  readonly #texts = new Map<string, Uint8Array>();
  #anchor: Uint8Array = new Uint8Array();

  constructor(dir: string, url: string) {
    this.dir = dir;
    this.#url = url;
    mkdirSync(dir, { recursive: true });
  }

  async pinAnchor(): Promise<void> {
    this.#anchor = await this.#fetch('/api/anchor');
    writeFileSync(join(this.dir, 'anchor.json'), this.#anchor);
  }

  /** The block that proves a transaction comes right behind its own. */
  async #fetch(path: string): Promise<Uint8Array> {
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(this.#url + path);
      if (response.ok) return new Uint8Array(await response.arrayBuffer());
      if (response.status !== 503 || tries >= triesMax) throw new Error(`${path.split('?')[0]}: ${response.status}`);
      await sleep(pauseMs);
    }
  }

  #keep(name: string, bytes: Uint8Array): void {
    const file = `${name}.json`;
    writeFileSync(join(this.dir, file), bytes);
    this.#texts.set(file, bytes);
    if (!this.files.includes(file)) this.files.push(file);
  }

  async transaction(name: string, hash: string): Promise<void> {
    this.#keep(name, await this.#fetch(`/api/transactions/${hash}/receipt`));
  }

  /** A proof that a state key is there, or that it is not. */
  async state(name: string, key: string): Promise<void> {
    const answer = JSON.parse(Buffer.from(await this.#fetch(`/api/state/${key}?proof=true`)).toString());
    this.#keep(name, utf8(canonicalJson(answer.proof as JsonValue)));
  }

  /** Verifies every file offline, and that none survives a changed byte. */
  verifyAll(): ReceiptReport[] {
    const anchor = parseAnchor(this.#anchor);
    return [...this.#texts].map(([file, bytes]) => {
      const report = verifyReceipt(bytes, anchor);
      const forged = Uint8Array.from(bytes);
      const at = Math.floor(forged.length / 2);
      forged[at] = (forged[at] ?? 0) ^ 1;
      if (accepts(forged, anchor)) throw new Error(`${file} verified although a byte of it was changed`);
      return report;
    });
  }
}

function accepts(bytes: Uint8Array, anchor: ReturnType<typeof parseAnchor>): boolean {
  try {
    verifyReceipt(bytes, anchor);
    return true;
  } catch {
    return false;
  }
}

/** Moves a directory away for as long as `work` runs: what is checked meanwhile needs nothing of it. */
export async function withoutDirectory<T>(dir: string, work: () => T | Promise<T>): Promise<T> {
  const away = `${dir}-moved-away`;
  renameSync(dir, away);
  try {
    if (existsSync(dir)) throw new Error('the data directory is still there');
    return await work();
  } finally {
    renameSync(away, dir);
  }
}
