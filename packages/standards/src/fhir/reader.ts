import { adviceOf, StandardsErrorCodes, standardsError } from '../errors.ts';
import { EntryScanner, entryBytesMax, type ScannedValue } from './entry-scanner.ts';
import { decompressed } from './inflate.ts';
import { type ParsedEntry, parseEntry, parseText } from './parse-entry.ts';
import type { JsonObject, Resource } from './types.ts';

/** Entries of one input. */
export const entriesMax = 5_000_000;

/** One resource of the input with the bytes it came with. */
export type EntryEvent = {
  kind: 'entry';
  /** Position in the input, faulty entries counted. */
  index: number;
  /** The exact bytes of the entry (of the resource, where it stands alone); owned by the receiver. */
  bytes: Uint8Array;
  /** The exact bytes of the resource: a view into `bytes`. */
  resourceBytes: Uint8Array;
  resource: Resource;
  fullUrl?: string;
  request?: { method?: string; url?: string; ifNoneExist?: string };
};

/** An entry that is refused; `fatal` where nothing after it can be read. */
export type FaultEvent = { kind: 'fault'; index: number; code: number; message: string; fatal: boolean };

/** Always the last event. `complete` says that the input was read to its end. */
export type EndEvent = {
  kind: 'end';
  complete: boolean;
  /** Entries seen, faulty ones included: where a later run may resume. */
  entries: number;
  faults: number;
  /** Bytes read, after decompression. */
  bytes: number;
  format: 'bundle' | 'resource' | 'ndjson' | 'empty';
  /** The Bundle without its entries (type, link, total, …). */
  bundle?: JsonObject;
};

export type ReaderEvent = EntryEvent | FaultEvent | EndEvent;

export type ReaderOptions = {
  /** Entries before this index are passed over without being parsed: to resume an import. */
  from?: number;
  /** `auto` recognises NDJSON by a second value after a line end; `ndjson` also survives a broken first line. */
  format?: 'auto' | 'ndjson';
};

/**
 * Reads FHIR JSON: a Bundle of any type, one resource, or NDJSON of either; gzip recognised. Memory is bounded by one
 * entry. Faults of one entry are reported at its index and reading goes on; what makes the rest unreadable is reported
 * as fatal after everything before it was given out. Throws only what the source throws.
 */
export async function* readFhir(
  source: AsyncIterable<Uint8Array>,
  options: ReaderOptions = {},
): AsyncGenerator<ReaderEvent> {
  const reader = new Reader(options);
  try {
    for await (const chunk of decompressed(source)) {
      yield* reader.push(chunk);
      if (reader.stopped) break;
    }
  } catch (error) {
    if (!isSalusError(error)) throw error;
    yield reader.stop(error.code);
  }
  yield* reader.finish();
}

/**
 * One resource from its bytes, for request bodies; throws the error of what is wrong with it. A Bundle is returned
 * whole, its entries included.
 */
export function readResource(bytes: Uint8Array): Resource {
  const scanner = new EntryScanner();
  scanner.wholeValue = true;
  scanner.push(bytes);
  scanner.finish();
  if (scanner.fault !== undefined) throw standardsError(scanner.fault);
  const value = scanner.found[0];
  if (!value || scanner.rest().some((byte) => !isSpace(byte))) throw standardsError(StandardsErrorCodes.inputNotJson);
  const parsed = parseEntry(value);
  if (typeof parsed === 'number') throw standardsError(parsed);
  return parsed.resource;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isSalusError(error: unknown): error is Error & { code: number } {
  return error instanceof Error && error.name === 'SalusError' && 'code' in error && typeof error.code === 'number';
}

class Reader {
  stopped = false;
  readonly #from: number;
  readonly #scanner = new EntryScanner();
  #mode: 'value' | 'lines';
  #line: Uint8Array[] = [];
  #lineBytes = 0;
  /** True until the line in which the first value ended is over. */
  #sameLine = false;
  #valuesRead = 0;
  #index = 0;
  #faults = 0;
  #bytes = 0;
  #format: EndEvent['format'] = 'empty';
  #bundle: JsonObject | undefined;

  constructor(options: ReaderOptions) {
    this.#from = options.from ?? 0;
    this.#mode = options.format === 'ndjson' ? 'lines' : 'value';
    if (this.#mode === 'lines') this.#format = 'ndjson';
  }

  *push(chunk: Uint8Array): Generator<ReaderEvent> {
    let bytes = chunk;
    if (this.#bytes === 0) {
      const head = headOf(bytes);
      if (head.code !== undefined) {
        yield this.stop(head.code);
        return;
      }
      this.#bytes += head.skip;
      bytes = bytes.subarray(head.skip);
    }
    this.#bytes += bytes.length;
    if (this.#mode === 'lines') {
      yield* this.#pushLines(bytes);
      return;
    }
    this.#scanner.push(bytes);
    yield* this.#takeFound();
    if (this.#scanner.fault !== undefined) yield this.stop(this.#scanner.fault);
    else if (this.#scanner.done) {
      const rest = this.#scanner.rest();
      yield* this.#finishValue();
      this.#mode = 'lines';
      // What stands in the same line after the value is not part of a next one.
      this.#line = [];
      this.#lineBytes = 0;
      this.#sameLine = true;
      yield* this.#pushLines(rest);
    }
  }

  *#pushLines(bytes: Uint8Array): Generator<ReaderEvent> {
    let from = 0;
    while (from < bytes.length && !this.stopped) {
      const end = bytes.indexOf(0x0a, from);
      const part = bytes.subarray(from, end < 0 ? bytes.length : end);
      this.#keepLine(part);
      if (end < 0) return;
      from = end + 1;
      yield* this.#finishLine();
    }
  }

  #keepLine(part: Uint8Array): void {
    this.#lineBytes += part.length;
    if (this.#lineBytes > entryBytesMax) this.#line = [];
    else this.#line.push(part.slice());
  }

  *#finishLine(): Generator<ReaderEvent> {
    const parts = this.#line;
    const length = this.#lineBytes;
    this.#line = [];
    this.#lineBytes = 0;
    const blank = length <= entryBytesMax && parts.every((part) => part.every(isSpace));
    const sameLine = this.#sameLine;
    this.#sameLine = false;
    if (blank) return;
    if (sameLine) {
      yield this.stop(StandardsErrorCodes.inputNotJson);
      return;
    }
    this.#format = 'ndjson';
    if (length > entryBytesMax) {
      yield this.#fault(StandardsErrorCodes.entryTooLarge, false);
      return;
    }
    this.#scanner.reset();
    for (const part of parts) this.#scanner.push(part);
    this.#scanner.finish();
    yield* this.#takeFound();
    if (this.#scanner.fault !== undefined) yield this.#fault(this.#lineFault(this.#scanner.fault), false);
    else if (this.#scanner.rest().some((byte) => !isSpace(byte))) {
      yield this.#fault(StandardsErrorCodes.entrySyntax, false);
    } else yield* this.#finishValue();
  }

  /** A line that ends early is broken, not a truncated input. */
  #lineFault(code: number): number {
    const { inputTruncated, inputNotJson, entrySyntax } = StandardsErrorCodes;
    return code === inputTruncated || code === inputNotJson ? entrySyntax : code;
  }

  *finish(): Generator<ReaderEvent> {
    if (!this.stopped) {
      if (this.#mode === 'value') {
        this.#scanner.finish();
        if (this.#scanner.fault !== undefined) yield this.stop(this.#scanner.fault);
      } else {
        yield* this.#finishLine();
        if (!this.stopped && this.#valuesRead + this.#faults === 0) yield this.stop(StandardsErrorCodes.inputEmpty);
      }
    }
    yield {
      kind: 'end',
      complete: !this.stopped,
      entries: this.#index,
      faults: this.#faults,
      bytes: this.#bytes,
      format: this.#format,
      ...(this.#bundle ? { bundle: this.#bundle } : {}),
    };
  }

  /** The event that ends the reading. */
  stop(code: number): FaultEvent {
    this.stopped = true;
    return this.#fault(code, true);
  }

  #fault(code: number, fatal: boolean): FaultEvent {
    const index = this.#index;
    this.#faults += 1;
    if (!fatal) this.#index += 1;
    return { kind: 'fault', index, code, message: `entry ${index}: ${adviceOf(code)}`, fatal };
  }

  *#takeFound(): Generator<ReaderEvent> {
    const found = this.#scanner.found;
    this.#scanner.found = [];
    for (const value of found) {
      if (this.#index >= entriesMax) {
        yield this.stop(StandardsErrorCodes.entriesTooMany);
        return;
      }
      if (value.kind === 'resource' && this.#format === 'empty') this.#format = 'resource';
      if (this.#index < this.#from) this.#index += 1;
      else yield this.#entryOf(value);
    }
  }

  #entryOf(value: ScannedValue): EntryEvent | FaultEvent {
    const parsed = parseEntry(value);
    if (typeof parsed === 'number') return this.#fault(parsed, false);
    const index = this.#index;
    this.#index += 1;
    return entryEvent(index, value.bytes, parsed);
  }

  *#finishValue(): Generator<ReaderEvent> {
    this.#valuesRead += 1;
    const { envelope } = this.#scanner;
    if (!envelope) return;
    if (this.#format === 'empty') this.#format = 'bundle';
    const parsed = parseText(envelope.text, envelope.memberCount, true);
    if (typeof parsed === 'number') yield this.#fault(StandardsErrorCodes.envelopeSyntax, false);
    else if (parsed.resourceType !== 'Bundle') yield this.#fault(StandardsErrorCodes.resourceTypeMissing, false);
    else {
      delete parsed.entry;
      this.#bundle = parsed;
    }
  }
}

function entryEvent(index: number, bytes: Uint8Array, parsed: ParsedEntry): EntryEvent {
  const { envelope, resource, resourceBytes } = parsed;
  const event: EntryEvent = { kind: 'entry', index, bytes, resourceBytes, resource };
  if (typeof envelope.fullUrl === 'string') event.fullUrl = envelope.fullUrl;
  const request = envelope.request;
  if (typeof request === 'object' && request !== null && !Array.isArray(request)) {
    event.request = {};
    if (typeof request.method === 'string') event.request.method = request.method;
    if (typeof request.url === 'string') event.request.url = request.url;
    if (typeof request.ifNoneExist === 'string') event.request.ifNoneExist = request.ifNoneExist;
  }
  return event;
}

/** What the first bytes say: a byte order mark of UTF-8 is passed over, other encodings and archives are refused. */
function headOf(bytes: Uint8Array): { skip: number; code?: number } {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) return { skip: 3 };
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || first === 0 || second === 0) {
    return { skip: 0, code: StandardsErrorCodes.inputEncoding };
  }
  const archive = (first === 0x50 && second === 0x4b) || (first === 0x42 && second === 0x5a) || first === 0x28;
  return archive || first === 0x3c ? { skip: 0, code: StandardsErrorCodes.inputKind } : { skip: 0 };
}
