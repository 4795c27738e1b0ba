import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { consent } from '@salus/contracts';
import { type Search, StandardsErrorCodes, standardsError } from '@salus/standards';
import type { Question } from '../gate/question.ts';
import type { StoredResource } from '../records/resource-store.ts';
import type { Presented } from './present.ts';

/** How long the pages of a search can be asked for. */
export const pagesLifeMs = 300_000;
/** What all searches of one organisation whose pages are still wanted may take in memory; the oldest go first. */
export const pagesBytesMax = 64 * 1_048_576;
const macBytes = 32;

/** What one search released: decided, recorded and opened once; later pages come from here. */
export interface ReleasedSearch {
  /** Stays here: no address of a page says what was searched for. */
  search: Search;
  question: Question;
  matches: Presented[];
  /** By `Type/id`: what `_include` brought. */
  included: Map<string, Presented>;
  decisions: Map<StoredResource, consent.Decision>;
}

interface Kept extends ReleasedSearch {
  expiresMs: number;
  bytes: number;
}

interface CursorContent {
  search: string;
  offset: number;
}

/** Pages of released searches, and the cursors that name them: signed, short-lived, good for one requester and address. */
export class PageStore {
  readonly #key: Uint8Array;
  readonly #nowMs: () => number;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(key: Uint8Array, nowMs: () => number) {
    this.#key = key;
    this.#nowMs = nowMs;
  }

  keep(released: ReleasedSearch): string {
    this.#dropExpired();
    const name = randomBytes(16).toString('base64url');
    const all = [...released.matches, ...released.included.values()];
    const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
    this.#kept.set(name, { ...released, bytes, expiresMs: this.#nowMs() + pagesLifeMs });
    this.#bytes += bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= pagesBytesMax || oldest === name) break;
      this.#drop(oldest);
    }
    return name;
  }

  #dropExpired(): void {
    const now = this.#nowMs();
    for (const [name, { expiresMs }] of this.#kept) if (now >= expiresMs) this.#drop(name);
  }

  #drop(name: string): void {
    this.#bytes -= this.#kept.get(name)?.bytes ?? 0;
    this.#kept.delete(name);
  }

  #mac(text: string, binding: string): Buffer {
    const bound = createHash('sha256').update(binding).digest('hex');
    return createHmac('sha256', this.#key).update(`salus-fhir-cursor/1 ${bound} ${text}`).digest();
  }

  cursor(content: CursorContent, binding: string): string {
    const text = Buffer.from(JSON.stringify(content)).toString('base64url');
    return `${text}.${this.#mac(text, binding).toString('base64url')}`;
  }

  /** Throws `searchCursorInvalid` for a cursor of another requester or address, an old one, and any other text. */
  open(cursor: string, binding: string): { released: ReleasedSearch; content: CursorContent } {
    const [text = '', mac = ''] = cursor.split('.');
    const given = Buffer.from(mac, 'base64url');
    const isOurs = given.length === macBytes && timingSafeEqual(given, this.#mac(text, binding));
    this.#dropExpired();
    const content: CursorContent | undefined = isOurs
      ? JSON.parse(Buffer.from(text, 'base64url').toString())
      : undefined;
    const released = content && this.#kept.get(content.search);
    if (content === undefined || released === undefined) throw standardsError(StandardsErrorCodes.searchCursorInvalid);
    return { released, content };
  }
}
