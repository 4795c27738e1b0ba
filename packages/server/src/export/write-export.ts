import { createWriteStream, existsSync, readdirSync, rmSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { makeDirectory, writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { ExportItem } from './items.ts';

/** Written in clear: nobody but the owner of the files may read them. */
const ownerOnly = 0o600;
const hashCharsInName = 16;

export interface ExportReport {
  patient: string;
  resources: number;
  types: Record<string, number>;
  files: string[];
  /** Receipts of the transactions that recorded the export before it was written. */
  receipts: string[];
}

/** The files of an export: one per type, with one resource in each line. */
class NdjsonFiles {
  readonly #dir: string;
  readonly #streams = new Map<string, WriteStream>();
  readonly counts: Record<string, number> = {};

  constructor(dir: string) {
    this.#dir = dir;
  }

  get names(): string[] {
    return [...this.#streams.keys()].sort().map((type) => `${type}.ndjson`);
  }

  async write(type: string, text: string): Promise<void> {
    let stream = this.#streams.get(type);
    if (stream === undefined) {
      stream = createWriteStream(join(this.#dir, `${type}.ndjson`), { mode: ownerOnly, flush: true, flags: 'wx' });
      this.#streams.set(type, stream);
    }
    this.counts[type] = (this.counts[type] ?? 0) + 1;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    stream.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
    await promise;
  }

  async close(): Promise<void> {
    for (const stream of this.#streams.values()) stream.end();
    await Promise.all([...this.#streams.values()].map((stream) => finished(stream)));
  }
}

/** Refuses a directory in which something lies. */
export function refuseTaken(out: string): void {
  if (existsSync(out) && readdirSync(out).length > 0) throw new NodeFault(NodeErrorCodes.backupTargetTaken);
}

async function writeItems(
  out: string,
  files: NdjsonFiles,
  items: AsyncIterable<ExportItem>,
): Promise<Pick<ExportReport, 'patient' | 'receipts'> | undefined> {
  const receipts: string[] = [];
  for await (const item of items) {
    if (item.kind === 'resource') await files.write(item.type, item.text);
    if (item.kind === 'file') writeFileDurably(join(out, item.name), item.text);
    if (item.kind === 'receipt') {
      const name = `receipt-${item.hash.slice(0, hashCharsInName)}.json`;
      writeFileDurably(join(out, name), item.text);
      receipts.push(name);
    }
    if (item.kind === 'end') return { patient: item.patient, receipts };
  }
  return undefined;
}

/**
 * Writes an export into a new directory; files in clear of an export that did not come to its end are removed. Throws what
 * the items throw, and `exportCut` where they end early.
 */
export async function writeExport(out: string, items: AsyncIterable<ExportItem>): Promise<ExportReport> {
  refuseTaken(out);
  makeDirectory(out);
  const files = new NdjsonFiles(out);
  try {
    const written = await writeItems(out, files, items).finally(() => files.close());
    if (written === undefined) throw new NodeFault(NodeErrorCodes.exportCut);
    const resources = Object.values(files.counts).reduce((sum, count) => sum + count, 0);
    return { ...written, resources, types: files.counts, files: files.names };
  } catch (error) {
    for (const name of readdirSync(out)) rmSync(join(out, name));
    throw error;
  }
}
