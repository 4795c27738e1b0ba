import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { indexToken } from '@salus/vault';

const patientsCachedMax = 10_000;

/** Keyed names of one organisation: what its indexes hold instead of ids, types and identifiers. */
export class IndexTokens {
  readonly #key: KeyObject;
  readonly #types = new Map<string, string>();
  readonly #patients = new Map<string, string>();

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  resource(type: string, id: string): string {
    return indexToken(this.#key, 'resource', `${type}/${id}`);
  }

  patient(id: string): string {
    const known = this.#patients.get(id);
    if (known !== undefined) return known;
    const token = indexToken(this.#key, 'patient', id);
    if (this.#patients.size >= patientsCachedMax) this.#patients.clear();
    this.#patients.set(id, token);
    return token;
  }

  type(type: string): string {
    const known = this.#types.get(type) ?? indexToken(this.#key, 'type', type);
    this.#types.set(type, known);
    return known;
  }

  identifier(type: string, system: string, value: string): string {
    return indexToken(this.#key, 'identifier', JSON.stringify([type, system, value]));
  }

  source(hash: string): string {
    return indexToken(this.#key, 'source', hash);
  }

  /**
   * The id that a created resource gets: a UUID (RFC 9562 version 8) that depends on the organisation's key, the entry's
   * fullUrl and its bytes. Importing the same entry again gives the same id, so a retry creates nothing twice, and
   * nobody can tell the fullUrl from it.
   */
  createdId(fullUrl: string, contentHash: string): string {
    const mac = createHmac('sha256', this.#key)
      .update(JSON.stringify(['salus-created-id/1', fullUrl, contentHash]))
      .digest();
    mac[6] = ((mac[6] ?? 0) & 0x0f) | 0x80;
    mac[8] = ((mac[8] ?? 0) & 0x3f) | 0x80;
    const hex = mac.toString('hex', 0, 16);
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }
}
