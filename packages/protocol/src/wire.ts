import { proofError } from './proof-errors.ts';

/**
 * The part of protobuf (proto3 wire format) that CometBFT and ICS-23 messages need. Written as gogoproto writes it:
 * fields in ascending order, zero values left out, non-nullable messages always present.
 */

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const fieldNumberMax = 15;
const initialBytes = 256;
/** Results above this are views on what was written into: copying costs more than the room that stays unused. */
const copyBytesMax = 4_096;
/** Bytes of a 64-bit varint. */
const varintBytesMax = 10;

export class WireWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** `capacityBytes`: how much will be written, where that is known. */
  constructor(capacityBytes = initialBytes) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  /** int32, int64, uint32, uint64, enum: ±(2^53−1); 0 is left out. */
  int(field: number, value: number): this {
    if (!Number.isSafeInteger(value)) throw proofError('wireNumber');
    if (value === 0) return this;
    this.#varint((field << 3) | WIRE_VARINT);
    this.#varint(value);
    return this;
  }

  /** sfixed64; 0 is left out. */
  sfixed64(field: number, value: number): this {
    if (!Number.isSafeInteger(value)) throw proofError('wireNumber');
    if (value === 0) return this;
    this.#varint((field << 3) | WIRE_FIXED64);
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setBigInt64(this.#length, BigInt(value), true);
    this.#length += 8;
    return this;
  }

  /** bytes or string; empty is left out. */
  bytes(field: number, value: Uint8Array): this {
    return value.length === 0 ? this : this.message(field, value);
  }

  /** A message that is present even when empty, or an element of a repeated field. */
  message(field: number, value: Uint8Array): this {
    this.#varint((field << 3) | WIRE_BYTES);
    return this.delimited(value);
  }

  /** Length and bytes without a field number: protobuf's delimited streams. */
  delimited(value: Uint8Array): this {
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  finish(): Uint8Array {
    if (this.#length > copyBytesMax) return this.#bytes.subarray(0, this.#length);
    return this.#bytes.slice(0, this.#length);
  }

  #varint(value: number): void {
    this.#reserve(varintBytesMax);
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value));
      while (rest > 127n) {
        this.#byte(Number(rest & 127n) | 128);
        rest >>= 7n;
      }
      this.#byte(Number(rest));
      return;
    }
    let rest = value;
    while (rest > 127) {
      this.#byte((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** `value` is the number of a varint field or the bytes of a length-delimited one (a view, not a copy). */
export type WireField = { field: number; value: number | Uint8Array };

/** The fields of a message in their order; varints and length-delimited fields only. Throws `wireSyntax`. */
export function readWire(bytes: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  let offset = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[offset];
      if (byte === undefined) throw proofError('wireSyntax');
      offset += 1;
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw proofError('wireNumber');
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (offset < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (field === 0 || field > fieldNumberMax) throw proofError('wireSyntax');
    const value = varint();
    if (tag % 8 === WIRE_VARINT) {
      fields.push({ field, value });
    } else if (tag % 8 === WIRE_BYTES && value <= bytes.length - offset) {
      fields.push({ field, value: bytes.subarray(offset, offset + value) });
      offset += value;
    } else {
      throw proofError('wireSyntax');
    }
  }
  return fields;
}
