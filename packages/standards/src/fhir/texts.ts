import { isObject, type JsonValue, objectsOf, type Resource } from './types.ts';

/** Bytes of one attachment that are decoded to look for words. */
export const attachmentTextBytesMax = 4 * 1024 * 1024;

const decoder = new TextDecoder('utf-8');
const NAMED_TEXTS = new Set(['display', 'text', 'conclusion', 'description', 'comment', 'title', 'valueString']);

/** Displays, notes, conclusions, narrative and text attachments: the words in which a clinician says what it is. */
export function* clinicalTexts(resource: Resource): Generator<string> {
  yield* textsIn(resource, true);
}

function* textsIn(value: JsonValue | undefined, top: boolean): Generator<string> {
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object') yield* textsIn(element, false);
    return;
  }
  if (!isObject(value)) return;
  const isReference = typeof value.reference === 'string';
  for (const name in value) {
    const member = value[name];
    if (typeof member === 'string') {
      if (NAMED_TEXTS.has(name) && !isReference) yield member;
    } else if (name === 'text' && isObject(member) && top) yield narrativeText(member.div);
    else if (name === 'attachment' || name === 'presentedForm' || name === 'content') {
      for (const attachment of objectsOf(member)) {
        yield attachmentText(attachment) ?? '';
        yield* textsIn(attachment, false);
      }
    } else if (typeof member === 'object' && member !== null && name !== 'meta') yield* textsIn(member, false);
  }
}

/** The words of a narrative (R4 §2.4.0), markup and entities resolved. */
export function narrativeText(div: JsonValue | undefined): string {
  if (typeof div !== 'string') return '';
  return div
    .replace(/<[^>]*>/g, ' ')
    .replace(/&#(\d{1,7});/g, (_, digits: string) => codePoint(Number(digits)))
    .replace(/&#x([0-9a-fA-F]{1,6});/g, (_, digits: string) => codePoint(Number.parseInt(digits, 16)))
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&apos;/g, "'")
    .replace(/&nbsp;/g, ' ')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .trim();
}

function codePoint(code: number): string {
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : '';
}

/** The text of an Attachment (or Binary) with inline data of a text type; undefined for others. */
export function attachmentText(attachment: JsonValue | undefined): string | undefined {
  if (!isObject(attachment) || typeof attachment.data !== 'string') return undefined;
  const type = typeof attachment.contentType === 'string' ? attachment.contentType : '';
  if (!/^text\/|xml|json/.test(type) || attachment.data.length > (attachmentTextBytesMax * 4) / 3) return undefined;
  const text = decoder.decode(Buffer.from(attachment.data, 'base64'));
  return /html|xml/.test(type) ? narrativeText(text) : text;
}
