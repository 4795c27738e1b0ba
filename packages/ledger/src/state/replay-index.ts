import { hasPassed, type ReplayId } from '@salus/contracts';

const idBytes = 32;
const slotsInitial = 1024;
const EMPTY_SLOT = 0;

/** The used ids of one minute in order of use: 32 bytes each, found through an open-addressed table of places. */
class ReplayMinute {
  #ids = Buffer.alloc(slotsInitial * (idBytes / 2));
  #slots = new Uint32Array(slotsInitial);
  count = 0;

  has(id: Buffer): boolean {
    return this.#slots[this.#slotOf(id)] !== EMPTY_SLOT;
  }

  add(id: Uint8Array): void {
    if (2 * (this.count + 1) > this.#slots.length) this.#grow();
    const slot = this.#slotOf(id);
    if (this.#slots[slot] !== EMPTY_SLOT) return;
    this.#ids.set(id, this.count * idBytes);
    this.count += 1;
    this.#slots[slot] = this.count;
  }

  *ids(): Iterable<Uint8Array> {
    for (let place = 0; place < this.count; place += 1) {
      yield this.#ids.subarray(place * idBytes, (place + 1) * idBytes);
    }
  }

  /** Where `id` stands, or the empty slot where it would. Ids are hashes: their first bytes spread by themselves. */
  #slotOf(id: Uint8Array): number {
    const mask = this.#slots.length - 1;
    const start = (id[0] as number) | ((id[1] as number) << 8) | ((id[2] as number) << 16) | ((id[3] as number) << 24);
    for (let slot = start & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots[slot] as number;
      if (place === EMPTY_SLOT || this.#equalsAt(place - 1, id)) return slot;
    }
  }

  #equalsAt(place: number, id: Uint8Array): boolean {
    const at = place * idBytes;
    for (let byte = 0; byte < idBytes; byte += 1) if (this.#ids[at + byte] !== id[byte]) return false;
    return true;
  }

  #grow(): void {
    const ids = this.#ids;
    this.#ids = Buffer.alloc(2 * ids.length);
    this.#ids.set(ids);
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let place = 0; place < this.count; place += 1) {
      this.#slots[this.#slotOf(ids.subarray(place * idBytes, (place + 1) * idBytes))] = place + 1;
    }
  }
}

/**
 * Used (sender, id) in memory, 40 to 50 bytes each: at full speed there are millions within the ten minutes that a
 * transaction may be valid.
 */
export class ReplayIndex {
  readonly #minutes = new Map<number, ReplayMinute>();
  readonly #scratch = Buffer.alloc(idBytes);

  seen(minute: number, id: string): boolean {
    const ids = this.#minutes.get(minute);
    if (!ids) return false;
    this.#scratch.write(id, 'base64url');
    return ids.has(this.#scratch);
  }

  add(ids: Iterable<Pick<ReplayId, 'minute' | 'bytes'>>): void {
    for (const { minute, bytes } of ids) this.#minute(minute).add(bytes);
  }

  /** Joined ids of a minute, as the store keeps them. */
  restore(minute: number, ids: Uint8Array): void {
    const into = this.#minute(minute);
    for (let at = 0; at < ids.length; at += idBytes) into.add(ids.subarray(at, at + idBytes));
  }

  /** Ids of a minute in order of use. */
  ids(minute: number): Iterable<Uint8Array> {
    return this.#minutes.get(minute)?.ids() ?? [];
  }

  minutes(): number[] {
    return [...this.#minutes.keys()].sort((left, right) => left - right);
  }

  /**
   * Forgets what can no longer be valid; returns the minutes that went. Minutes that state still lists stay: then the
   * state alone says which ids a snapshot must have.
   */
  prune(blockTimeMs: number, listed: readonly number[] = []): number[] {
    const passed = this.minutes().filter((minute) => hasPassed(minute, blockTimeMs) && !listed.includes(minute));
    for (const minute of passed) this.#minutes.delete(minute);
    return passed;
  }

  #minute(minute: number): ReplayMinute {
    const present = this.#minutes.get(minute);
    if (present) return present;
    const created = new ReplayMinute();
    this.#minutes.set(minute, created);
    return created;
  }
}
