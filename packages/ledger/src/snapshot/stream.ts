import { assertStateKey } from '@salus/contracts';
import { ledgerError } from '../errors.ts';
import { snapshotBlockBytesMax, snapshotIdsPerRecordMax, snapshotValueBytesMax } from '../limits.ts';
import type { ByteWriter } from '../log/bytes.ts';

/**
 * The bytes of a snapshot, cut into chunks without regard to what they hold. Lengths are 4 bytes, little-endian.
 *   1. entries, ascending by key: key, stored value, each behind its length; a length of 0 ends them;
 *   2. used ids, ascending by minute, in order of use: how many, the minute, the ids (32 bytes each); 0 ends them;
 *   3. the last block behind its length (0: left out), as the log keeps it, without its redo.
 * Nothing is compressed: the bytes would depend on the compressor's version, and salts and hashes are most of them.
 */
export type SnapshotItem =
  | { kind: 'entry'; key: string; stored: Uint8Array }
  | { kind: 'ids'; minute: number; ids: Uint8Array }
  | { kind: 'block'; bytes: Uint8Array };

const lengthBytes = 4;
export const idBytes = 32;
const keyBytesMax = 200;

export function writeEntry(writer: ByteWriter, key: string, stored: Uint8Array): void {
  writer.text(key);
  writer.bytes(stored);
}

/** Ends the entries, and in the same way the ids. */
export function writeEnd(writer: ByteWriter): void {
  writer.u32(0);
}

export function writeIds(writer: ByteWriter, minute: number, ids: readonly Uint8Array[]): void {
  writer.u32(ids.length);
  writer.u32(minute);
  for (const id of ids) writer.raw(id);
}

const sections = ['entry', 'ids', 'block', 'end'] as const;

/** Takes the bytes in pieces of any length and gives whole items; throws `snapshotInvalid` at the first wrong one. */
export class SnapshotDecoder {
  #rest: Buffer = Buffer.alloc(0);
  #at = 0;
  #section = 0;
  #lastKey = '';
  #lastMinute = 0;

  *push(bytes: Uint8Array): Iterable<SnapshotItem> {
    this.#rest = Buffer.concat([this.#rest.subarray(this.#at), bytes]);
    this.#at = 0;
    for (;;) {
      const before = this.#at;
      const item = this.#read();
      if (item === undefined) {
        this.#at = before;
        return;
      }
      if (item !== 'end') yield item;
    }
  }

  /** After the last piece. */
  finish(): void {
    if (sections[this.#section] !== 'end' || this.#at !== this.#rest.length) throw invalid('its length');
  }

  /** Undefined where the item is not whole yet. */
  #read(): SnapshotItem | 'end' | undefined {
    const length = this.#u32();
    if (length === undefined) return undefined;
    const section = sections[this.#section];
    if (section === 'end') throw invalid('more than its content');
    if (section === 'block') return this.#block(length);
    if (length === 0) {
      this.#section += 1;
      return 'end';
    }
    return section === 'entry' ? this.#entry(length) : this.#ids(length);
  }

  #entry(keyLength: number): SnapshotItem | undefined {
    if (keyLength > keyBytesMax) throw invalid('a key');
    const keyBytes = this.#take(keyLength);
    const length = keyBytes && this.#u32();
    if (keyBytes === undefined || length === undefined) return undefined;
    if (length > snapshotValueBytesMax) throw invalid('a value');
    const stored = this.#take(length);
    if (stored === undefined) return undefined;
    const key = keyBytes.toString('latin1');
    if (key <= this.#lastKey || !isStateKey(key)) throw invalid('the order of its keys');
    this.#lastKey = key;
    return { kind: 'entry', key, stored };
  }

  #ids(count: number): SnapshotItem | undefined {
    if (count > snapshotIdsPerRecordMax) throw invalid('its used ids');
    const minute = this.#u32();
    const ids = minute === undefined ? undefined : this.#take(count * idBytes);
    if (minute === undefined || ids === undefined) return undefined;
    if (minute < this.#lastMinute) throw invalid('the order of its used ids');
    this.#lastMinute = minute;
    return { kind: 'ids', minute, ids };
  }

  #block(length: number): SnapshotItem | 'end' | undefined {
    if (length > snapshotBlockBytesMax) throw invalid('its last block');
    const bytes = this.#take(length);
    if (bytes === undefined) return undefined;
    this.#section += 1;
    return length === 0 ? 'end' : { kind: 'block', bytes };
  }

  #u32(): number | undefined {
    return this.#take(lengthBytes)?.readUInt32LE(0);
  }

  #take(length: number): Buffer | undefined {
    if (this.#at + length > this.#rest.length) return undefined;
    this.#at += length;
    return this.#rest.subarray(this.#at - length, this.#at);
  }
}

function isStateKey(key: string): boolean {
  try {
    assertStateKey(key);
    return true;
  } catch {
    return false;
  }
}

function invalid(what: string): Error {
  return ledgerError('snapshotInvalid', what);
}
