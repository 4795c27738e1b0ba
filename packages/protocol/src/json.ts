import { utf8Text } from './bytes.ts';
import { ProtocolErrorCodes, protocolError } from './errors.ts';

export type JsonValue = null | boolean | number | string | JsonValue[] | { [member: string]: JsonValue };

export type JsonLimits = {
  /** Size of the bytes; of a text that is given as such, its length. */
  bytesMax: number;
  /** Levels of lists and objects. */
  depthMax: number;
};

/** Levels that canonical JSON may have; deeper values are a fault of the program. */
export const canonicalJsonDepthMax = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const BYTE_ORDER_MARK = 0xfeff;
const MINUS = 0x2d;
const DIGIT_ZERO = 0x30;
const DIGIT_NINE = 0x39;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;
const NUMBER = /[-+0-9.eE]+/y;
const PLAIN_INTEGER = /^(?:0|-?[1-9][0-9]*)$/;

/** JSON.stringify writes control characters and lone surrogates as escapes; the latter must not pass. */
const escapedSurrogate = '\\ud';

/**
 * JSON (RFC 8259) of integers within ±(2^53−1), well-formed texts and unique member names. Throws a numbered error
 * that never quotes the input.
 */
export function parseJsonStrict(input: Uint8Array | string, limits: JsonLimits): JsonValue {
  if (input.length > limits.bytesMax) throw protocolError(ProtocolErrorCodes.jsonTooLarge);
  const text = typeof input === 'string' ? input : utf8Text(input);
  return parseJsonText(text, limits);
}

function parseJsonText(text: string, limits: JsonLimits): JsonValue {
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) throw protocolError(ProtocolErrorCodes.byteOrderMark);
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch {
    throw protocolError(ProtocolErrorCodes.jsonSyntax);
  }
  checkDepthAndNumbers(value, limits.depthMax);
  // Equal text proves unique names and plain numbers (-0 would come back as 0); anything else (white space, escapes) is looked at in detail.
  if (text.includes(escapedSurrogate) || JSON.stringify(value) !== text) scanJson(text);
  return value;
}

function checkDepthAndNumbers(value: JsonValue, depthLeft: number): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw protocolError(ProtocolErrorCodes.jsonNumber);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (depthLeft === 0) throw protocolError(ProtocolErrorCodes.jsonTooDeep);
  if (Array.isArray(value)) {
    for (const item of value) checkDepthAndNumbers(item, depthLeft - 1);
    return;
  }
  for (const name in value) checkDepthAndNumbers(value[name] as JsonValue, depthLeft - 1);
}

/** What `JSON.parse` lets pass: duplicate names, lone surrogates, numbers in other forms. The text is known JSON. */
function scanJson(text: string): void {
  const names: (Set<string> | undefined)[] = [];
  let index = 0;
  while (index < text.length) {
    const unit = text.charCodeAt(index);
    if (unit === QUOTE) {
      index = scanText(text, index, names.at(-1));
    } else if (unit === MINUS || (unit >= DIGIT_ZERO && unit <= DIGIT_NINE)) {
      index = scanNumber(text, index);
    } else {
      if (unit === OPEN_OBJECT) names.push(new Set());
      else if (unit === OPEN_LIST) names.push(undefined);
      else if (unit === CLOSE_OBJECT || unit === CLOSE_LIST) names.pop();
      index += 1;
    }
  }
}

/** Checks the text that starts at `start`, and its uniqueness where it is a member's name; returns what follows. */
function scanText(text: string, start: number, names: Set<string> | undefined): number {
  let end = start + 1;
  let escaped = false;
  while (text.charCodeAt(end) !== QUOTE) {
    if (text.charCodeAt(end) === BACKSLASH) {
      escaped = true;
      end += 1;
    }
    end += 1;
  }
  const content: string = escaped ? JSON.parse(text.slice(start, end + 1)) : text.slice(start + 1, end);
  if (!content.isWellFormed()) throw protocolError(ProtocolErrorCodes.loneSurrogate);
  let next = end + 1;
  while (text.charCodeAt(next) <= SPACE) next += 1;
  if (names && text.charCodeAt(next) === COLON) {
    if (names.has(content)) throw protocolError(ProtocolErrorCodes.jsonDuplicateMember);
    names.add(content);
  }
  return next;
}

function scanNumber(text: string, start: number): number {
  NUMBER.lastIndex = start;
  NUMBER.test(text);
  const number = text.slice(start, NUMBER.lastIndex);
  if (!PLAIN_INTEGER.test(number) || !Number.isSafeInteger(Number(number))) {
    throw protocolError(ProtocolErrorCodes.jsonNumber);
  }
  return start + number.length;
}

/**
 * The one text of a value by RFC 8785: members sorted by UTF-16 code units, no white space. Throws `jsonValue` where
 * the value is no JSON (undefined, NaN, lone surrogates, other objects than plain ones).
 */
export function canonicalJson(value: JsonValue): string {
  return canonicalText(value, canonicalJsonDepthMax);
}

function canonicalText(value: JsonValue | undefined, depthLeft: number): string {
  if (typeof value === 'string' && value.isWellFormed()) return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (typeof value === 'boolean' || value === null) return String(value);
  if (typeof value !== 'object' || depthLeft === 0) throw protocolError(ProtocolErrorCodes.jsonValue);
  if (Array.isArray(value)) {
    // Array.from sees the holes that map would skip.
    return `[${Array.from(value, (item) => canonicalText(item, depthLeft - 1)).join(',')}]`;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw protocolError(ProtocolErrorCodes.jsonValue);
  const members = Object.keys(value)
    .sort()
    .map((name) => `${canonicalText(name, depthLeft - 1)}:${canonicalText(value[name], depthLeft - 1)}`);
  return `{${members.join(',')}}`;
}
