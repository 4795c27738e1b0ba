import { StandardsErrorCodes } from '../errors.ts';

/**
 * Finds the elements of a Bundle's `entry` in a stream of bytes without parsing the Bundle, so that memory is bounded
 * by one entry and every entry keeps the bytes it came with. It knows just enough of RFC 8259 for that: strings,
 * brackets, and member names at two levels; what it hands out is parsed strictly by `parseEntry`.
 */

/** Bytes of one entry or one resource. */
export const entryBytesMax = 64 * 1024 * 1024;
/** Levels of nesting inside one entry or envelope. */
export const entryDepthMax = 100;
/** Bytes of a Bundle outside its entries. */
export const envelopeBytesMax = 1024 * 1024;

const initialBufferBytes = 64 * 1024;
/** A buffer that a large entry has grown is given back after it. */
const keptBufferBytesMax = 4 * 1024 * 1024;

export type ScannedValue = {
  /** `entry`: an element of a Bundle's entry; `resource`: a resource that stands on its own. */
  kind: 'entry' | 'resource';
  bytes: Uint8Array;
  /** Where the resource lies inside `bytes`; −1 where an entry has none. */
  resourceStart: number;
  resourceEnd: number;
  /** Members of all objects together: more than a parser keeps means that one is there twice. */
  memberCount: number;
  /** An escape `\u…` occurred: texts may contain halves of surrogate pairs. */
  unicodeEscapes: boolean;
  /** Set where the value was skipped without keeping it: its error code. */
  refused?: number;
};

export type ScannedEnvelope = { text: string; memberCount: number };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** What a byte means outside strings. */
const PLAIN = 0;
const SPACE = 1;
const COMMA = 2;
const STRING = 3;
const COLON = 4;
const OPEN = 5;
const CLOSE = 6;

const CLASS = new Uint8Array(256).fill(PLAIN);
for (const byte of [0x20, 0x09, 0x0a, 0x0d]) CLASS[byte] = SPACE;
for (const byte of [OPEN_OBJECT, OPEN_LIST]) CLASS[byte] = OPEN;
for (const byte of [0x7d, CLOSE_LIST]) CLASS[byte] = CLOSE;
CLASS[QUOTE] = STRING;
CLASS[0x3a] = COLON;
CLASS[0x2c] = COMMA;

/** Where the scanner is: before or after the value, between entries, in the envelope, in an element. */
const OUTSIDE = 0;
const ENTRIES = 1;
const ENVELOPE = 2;
const ELEMENT = 3;

const decoder = new TextDecoder();

export class EntryScanner {
  /** Values found and not yet taken. */
  found: ScannedValue[] = [];
  /** Why the scan cannot go on. */
  fault: number | undefined;
  /** The value at the top level has ended. */
  done = false;
  /** A Bundle without its entries, once its end was seen. */
  envelope: ScannedEnvelope | undefined;
  /** Take a Bundle as one value like any other resource. */
  wholeValue = false;

  #buffer = new Uint8Array(initialBufferBytes);
  #at = 0;
  #end = 0;
  #place = OUTSIDE;
  #depth = 0;
  #kinds = new Uint8Array(entryDepthMax + 1);
  #inString = false;
  #escaped = false;
  #stringStart = 0;
  #stringEnd = 0;
  #name = '';
  /** First byte that is still needed: of the element, or of the envelope part being read. */
  #start = 0;
  #elementDepth = 0;
  #resourceStart = -1;
  #resourceEnd = -1;
  #memberCount = 0;
  #unicodeEscapes = false;
  #refused: number | undefined;
  #envelopeParts: string[] = [];
  #envelopeBytes = 0;
  #envelopeMembers = 0;
  #resourceType: string | undefined;
  #commaDue = false;
  #elementDue = false;

  /** Scans a chunk up to the end of the top-level value, or until `fault` is set. */
  push(chunk: Uint8Array): void {
    this.#append(chunk);
    this.#scan();
    if (this.#place === ELEMENT && this.#at - this.#start > entryBytesMax) {
      this.#refused = StandardsErrorCodes.entryTooLarge;
    }
    if (this.#place === ENVELOPE && this.#at - this.#start > envelopeBytesMax) {
      this.#fail(StandardsErrorCodes.envelopeTooLarge);
    }
  }

  /** The input has ended: whatever is open is truncated. */
  finish(): void {
    if (this.fault || this.done) return;
    this.#fail(this.#place === OUTSIDE ? StandardsErrorCodes.inputEmpty : StandardsErrorCodes.inputTruncated);
  }

  /** Bytes after the end of the top-level value. */
  rest(): Uint8Array {
    return this.#buffer.slice(this.#at, this.#end);
  }

  /** Ready for another top-level value; keeps the buffer. */
  reset(): void {
    this.found = [];
    this.fault = undefined;
    this.done = false;
    this.envelope = undefined;
    this.#at = 0;
    this.#end = 0;
    this.#place = OUTSIDE;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
    this.#start = 0;
  }

  #scan(): void {
    const bytes = this.#buffer;
    const end = this.#end;
    while (this.#at < end && !this.done && this.fault === undefined) {
      if (this.#inString) {
        this.#scanString(bytes, end);
        continue;
      }
      const byte = bytes[this.#at] as number;
      this.#at += 1;
      const kind = CLASS[byte] as number;
      if (this.#place <= ENTRIES) this.#between(byte, kind);
      else if (kind <= COMMA) continue;
      else if (kind === STRING) {
        this.#inString = true;
        this.#stringStart = this.#at - 1;
      } else if (kind === COLON) {
        this.#memberCount += 1;
        if (this.#depth === this.#elementDepth + 1) this.#name = this.#lastString();
      } else if (kind === OPEN) this.#open(byte);
      else this.#close(byte);
    }
  }

  /** On from inside a string, to after its end or to the end of what is there. */
  #scanString(bytes: Uint8Array, end: number): void {
    let at = this.#at;
    while (at < end) {
      const byte = bytes[at] as number;
      at += 1;
      if (this.#escaped) {
        this.#escaped = false;
        if (byte === 0x75) this.#unicodeEscapes = true;
      } else if (byte === BACKSLASH) {
        this.#escaped = true;
      } else if (byte === QUOTE) {
        this.#inString = false;
        this.#stringEnd = at;
        this.#at = at;
        if (this.#place === ENVELOPE && this.#depth === 1 && this.#name === 'resourceType') this.#noteResourceType();
        return;
      }
    }
    this.#at = at;
  }

  /** Before the value, or directly inside `entry: […]`. */
  #between(byte: number, kind: number): void {
    if (kind === SPACE) return;
    if (this.#place === OUTSIDE) {
      if (byte === OPEN_OBJECT) this.#startValue();
      else this.#fail(StandardsErrorCodes.inputNotJson);
    } else if (byte === CLOSE_LIST) {
      if (this.#elementDue) this.#fail(StandardsErrorCodes.envelopeSyntax);
      this.#place = ENVELOPE;
      this.#elementDepth = 0;
      this.#memberCount = this.#envelopeMembers;
      this.#start = this.#at - 1;
      this.#depth -= 1;
      this.#name = '';
    } else if (kind === COMMA) {
      if (!this.#commaDue) this.#fail(StandardsErrorCodes.envelopeSyntax);
      this.#commaDue = false;
      this.#elementDue = true;
    } else if (this.#commaDue) this.#fail(StandardsErrorCodes.envelopeSyntax);
    else if (byte === OPEN_OBJECT) this.#startEntry(byte);
    else this.#fail(StandardsErrorCodes.entryNotAnObject);
  }

  /** A top-level object starts: an envelope until its resourceType says that it is something else. */
  #startValue(): void {
    this.#place = this.wholeValue ? ELEMENT : ENVELOPE;
    this.#start = this.#at - 1;
    this.#elementDepth = 0;
    this.#depth = 0;
    this.#memberCount = 0;
    this.#unicodeEscapes = false;
    this.#refused = undefined;
    this.#name = '';
    this.#resourceType = undefined;
    this.#envelopeParts = [];
    this.#envelopeBytes = 0;
    this.#open(OPEN_OBJECT);
  }

  #noteResourceType(): void {
    this.#resourceType = this.#lastString();
    this.#name = '';
    if (this.#resourceType !== 'Bundle' && this.#envelopeParts.length === 0) this.#place = ELEMENT;
  }

  /** `List` has a member of this name too, but is no Bundle. */
  #startEntries(): void {
    if (this.#resourceType !== undefined && this.#resourceType !== 'Bundle') return;
    this.#keepEnvelope();
    this.#envelopeMembers = this.#memberCount;
    this.#place = ENTRIES;
    this.#commaDue = false;
    this.#elementDue = false;
  }

  #startEntry(byte: number): void {
    this.#place = ELEMENT;
    this.#start = this.#at - 1;
    this.#elementDepth = this.#depth;
    this.#memberCount = 0;
    this.#unicodeEscapes = false;
    this.#refused = undefined;
    this.#name = '';
    this.#resourceStart = -1;
    this.#resourceEnd = -1;
    this.#open(byte);
  }

  #open(byte: number): void {
    this.#depth += 1;
    if (this.#depth - this.#elementDepth > entryDepthMax) {
      if (this.#place === ENVELOPE) this.#fail(StandardsErrorCodes.envelopeSyntax);
      this.#refused ??= StandardsErrorCodes.entryTooDeep;
      return;
    }
    if (this.#depth < this.#kinds.length) this.#kinds[this.#depth] = byte;
    if (this.#depth !== this.#elementDepth + 2) return;
    if (this.#place === ENVELOPE && byte === OPEN_LIST && this.#name === 'entry') this.#startEntries();
    else if (this.#name === 'resource' && this.#resourceStart < 0) this.#resourceStart = this.#at - 1 - this.#start;
  }

  /** Opening brackets are two less than their closing ones. */
  #close(byte: number): void {
    if (this.#depth < this.#kinds.length && this.#kinds[this.#depth] !== byte - 2) {
      this.#fail(StandardsErrorCodes.inputNotJson);
      return;
    }
    this.#depth -= 1;
    if (this.#depth === this.#elementDepth) this.#finishElement();
    else if (this.#depth === this.#elementDepth + 1 && this.#resourceStart >= 0 && this.#resourceEnd < 0) {
      this.#resourceEnd = this.#at - this.#start;
    }
  }

  #finishElement(): void {
    if (this.#place === ENVELOPE) {
      this.#keepEnvelope();
      this.envelope = { text: this.#envelopeParts.join(''), memberCount: this.#memberCount };
      this.done = true;
      return;
    }
    const entry = this.#elementDepth > 0;
    if (this.#at - this.#start > entryBytesMax) this.#refused ??= StandardsErrorCodes.entryTooLarge;
    const bytes = this.#refused === undefined ? this.#buffer.slice(this.#start, this.#at) : new Uint8Array(0);
    this.found.push({
      kind: entry ? 'entry' : 'resource',
      bytes,
      resourceStart: entry ? this.#resourceStart : 0,
      resourceEnd: entry ? this.#resourceEnd : bytes.length,
      memberCount: this.#memberCount,
      unicodeEscapes: this.#unicodeEscapes,
      refused: this.#refused,
    });
    this.done = !entry;
    this.#place = entry ? ENTRIES : OUTSIDE;
    this.#commaDue = true;
    this.#elementDue = false;
  }

  #keepEnvelope(): void {
    const part = this.#buffer.subarray(this.#start, this.#at);
    this.#envelopeBytes += part.length;
    if (this.#envelopeBytes > envelopeBytesMax) this.#fail(StandardsErrorCodes.envelopeTooLarge);
    else this.#envelopeParts.push(decoder.decode(part));
  }

  /** The string that ended last: before a colon, a member name. */
  #lastString(): string {
    const text = decoder.decode(this.#buffer.subarray(this.#stringStart, this.#stringEnd));
    if (!text.includes('\\')) return text.slice(1, -1);
    try {
      return String(JSON.parse(text));
    } catch {
      return '';
    }
  }

  /** Makes room by dropping what is no longer needed, then copies the chunk behind the rest. */
  #append(chunk: Uint8Array): void {
    const keepFrom = this.#keepFrom();
    const kept = this.#end - keepFrom;
    const needed = kept + chunk.length;
    const tooSmall = needed > this.#buffer.length;
    const tooLarge = this.#buffer.length > keptBufferBytesMax && needed < initialBufferBytes;
    if (tooSmall || tooLarge) {
      const next = new Uint8Array(Math.max(initialBufferBytes, 2 * needed));
      next.set(this.#buffer.subarray(keepFrom, this.#end));
      this.#buffer = next;
    } else if (keepFrom > 0) this.#buffer.copyWithin(0, keepFrom, this.#end);
    this.#buffer.set(chunk, kept);
    this.#at -= keepFrom;
    this.#stringStart -= keepFrom;
    this.#stringEnd -= keepFrom;
    this.#start -= keepFrom;
    this.#end = needed;
  }

  #keepFrom(): number {
    if (this.#place <= ENTRIES) return this.#at;
    if (this.#refused === undefined) return this.#start;
    // A refused element is only followed to its end; its member names no longer matter.
    this.#stringStart = this.#at;
    this.#stringEnd = this.#at;
    this.#start = this.#at;
    return this.#at;
  }

  #fail(code: number): void {
    this.fault ??= code;
  }
}
