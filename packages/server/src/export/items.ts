import { NodeErrorCodes, NodeFault } from '../node/errors.ts';

/** A piece of an export: a resource, a file that proves it, or its end, without which it is not whole. */
export type ExportItem =
  | { kind: 'resource'; type: string; text: string }
  | { kind: 'file'; name: 'disclosures.json' | 'anchor.json'; text: string }
  | { kind: 'receipt'; hash: string; text: string }
  | { kind: 'end'; patient: string; resources: number };

export const exportLinesType = 'application/x-ndjson';
/** A resource with its original is at most 32 MiB; its JSON escapes may double that. */
const lineCharsMax = 80 * 1_048_576;
const resourceLine = /^\{"kind":"resource","type":"([A-Za-z]{1,64})","resource":(.*)\}$/s;

/** A resource stands in its line as it is: written anew, 1.50 would become 1.5. */
export function lineOf(item: ExportItem): string {
  if (item.kind !== 'resource') return `${JSON.stringify(item)}\n`;
  return `{"kind":"resource","type":"${item.type}","resource":${item.text}}\n`;
}

function unfit(): NodeFault {
  return new NodeFault(NodeErrorCodes.exportCut, 'A line of the answer cannot be read.');
}

function itemOf(line: string): ExportItem {
  const [, type, text] = resourceLine.exec(line) ?? [];
  if (type !== undefined && text !== undefined) return { kind: 'resource', type, text };
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(line);
  } catch {
    throw unfit();
  }
  const { kind, name, hash, text: content, patient, resources } = value;
  if (kind === 'end' && typeof patient === 'string' && typeof resources === 'number') {
    return { kind, patient, resources };
  }
  if (typeof content !== 'string') throw unfit();
  if (kind === 'receipt' && typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash))
    return { kind, hash, text: content };
  if (kind === 'file' && (name === 'disclosures.json' || name === 'anchor.json')) {
    return { kind, name, text: content };
  }
  throw unfit();
}

/** The pieces of an export as a node sends them. Throws `exportCut` for what no node sends. */
export async function* itemsOfLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<ExportItem> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let rest = '';
  for await (const piece of source) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineCharsMax) throw unfit();
    for (const line of lines) yield itemOf(line);
  }
  if (rest !== '') throw unfit();
}
