import type { Files, LedgerFile } from '../files.ts';

/**
 * The file of an LMDB store, read without mapping it: a page that the file does not have ends a process that maps it
 * (SIGBUS), before anything could be said about it. Layout: lmdb.h and mdb.c of the library's data version 2
 * (MDB_page_header, MDB_meta, MDB_db, MDB_node), little-endian.
 */
const storeFileName = 'data.mdb';
const MAGIC = 0xbeef_c0de;
const dataVersion = 2;
const headerBytes = 24;
const flagsOffset = 18;
const lowerOffset = 20;
const metaBytes = headerBytes + 136;
const versionOffset = headerBytes + 4;
const pageSizeOffset = headerBytes + 24;
/** The table of free pages and the main table. */
const rootOffsets = [headerBytes + 24 + 40, headerBytes + 72 + 40];
const lastPageOffset = headerBytes + 120;
const transactionOffset = headerBytes + 128;
const rootInTable = 40;
const nodeBytes = 8;
const BRANCH = 1;
const LEAF = 2;
const BIG_DATA = 1;
const SUB_TABLE = 2;
const pageSizes = [4_096, 8_192, 16_384, 32_768, 65_536];

type Meta = { pageBytes: number; lastPage: bigint; transaction: bigint; roots: bigint[] };
type PageRead = (page: bigint) => Buffer | undefined;

const noPage = 0xffff_ffff_ffff_ffffn;

/**
 * What is wrong with the store's file, undefined where nothing is: its length, and where `everyPage` is asked for, also
 * what leads from page to page. A file may be shorter than its last page number says where the pages at its end are free
 * ones that were never written: only a page that a table uses is missed.
 */
export async function storeFileProblem(files: Files, dir: string, everyPage = false): Promise<string | undefined> {
  const path = `${dir}/${storeFileName}`;
  if (!files.exists(path)) return `${storeFileName} is missing`;
  const file = await files.open(path, 'read');
  try {
    return fileProblem(file, everyPage);
  } finally {
    await file.close();
  }
}

function fileProblem(file: LedgerFile, everyPage: boolean): string | undefined {
  const bytes = file.size();
  const first = readMeta(file, 0);
  if (!first) return 'it does not begin as a store does';
  // The other meta page may be the newer one.
  const second = readMeta(file, first.pageBytes);
  if (!second) return `${bytes} bytes, without its second page`;
  const meta = second.transaction > first.transaction ? second : first;
  const wanted = (meta.lastPage + 1n) * BigInt(meta.pageBytes);
  const isLong = BigInt(bytes) >= wanted;
  if (isLong && !everyPage) return undefined;
  const read: PageRead = (page) => readPage(file, page, meta.pageBytes);
  const isWhole = meta.roots.every((root) => isTableWhole(root, read, meta.pageBytes, bytes));
  if (isWhole) return undefined;
  return isLong ? 'its pages do not lead to each other' : `${bytes} bytes of ${wanted}`;
}

function readMeta(file: LedgerFile, position: number): Meta | undefined {
  const bytes = Buffer.alloc(metaBytes);
  if (file.readSync(bytes, position) < metaBytes) return undefined;
  if (bytes.readUInt32LE(headerBytes) !== MAGIC || bytes.readUInt16LE(versionOffset) !== dataVersion) return undefined;
  const pageBytes = bytes.readUInt32LE(pageSizeOffset);
  if (!pageSizes.includes(pageBytes)) return undefined;
  return {
    pageBytes,
    lastPage: bytes.readBigUInt64LE(lastPageOffset),
    transaction: bytes.readBigUInt64LE(transactionOffset),
    roots: rootOffsets.map((offset) => bytes.readBigUInt64LE(offset)),
  };
}

function readPage(file: LedgerFile, page: bigint, pageBytes: number): Buffer | undefined {
  const bytes = Buffer.alloc(pageBytes);
  const position = page * BigInt(pageBytes);
  if (position + BigInt(pageBytes) > BigInt(file.size())) return undefined;
  return file.readSync(bytes, Number(position)) === pageBytes ? bytes : undefined;
}

/** Whether every page that can be reached from `root` is in the file. */
function isTableWhole(root: bigint, read: PageRead, pageBytes: number, fileBytes: number): boolean {
  const open = root === noPage ? [] : [root];
  for (let number = open.pop(); number !== undefined; number = open.pop()) {
    const page = read(number);
    if (!page) return false;
    const flags = page.readUInt16LE(flagsOffset);
    const count = (page.readUInt16LE(lowerOffset) & ~1) / 2;
    if ((flags & (BRANCH | LEAF)) === 0 || headerBytes + 2 * count > pageBytes) return false;
    for (let index = 0; index < count; index += 1) {
      const at = page.readUInt16LE(headerBytes + 2 * index) + headerBytes;
      if (at + nodeBytes > pageBytes) return false;
      if ((flags & BRANCH) !== 0) open.push(childOf(page, at));
      else if (!isNodeWhole(page, at, pageBytes, fileBytes, open)) return false;
    }
  }
  return true;
}

function childOf(page: Buffer, at: number): bigint {
  return BigInt(page.readUInt32LE(at)) | (BigInt(page.readUInt16LE(at + 4)) << 32n);
}

/** A large value must end in the file; the root of a named table goes to the pages that are still `open`. */
function isNodeWhole(page: Buffer, at: number, pageBytes: number, fileBytes: number, open: bigint[]): boolean {
  const flags = page.readUInt16LE(at + 4);
  const data = at + nodeBytes + page.readUInt16LE(at + 6);
  if ((flags & BIG_DATA) !== 0) {
    if (data + 8 > pageBytes) return false;
    const end = page.readBigUInt64LE(data) * BigInt(pageBytes) + BigInt(headerBytes + page.readUInt32LE(at));
    return end <= BigInt(fileBytes);
  }
  if ((flags & SUB_TABLE) === 0) return true;
  if (data + rootInTable + 8 > pageBytes) return false;
  const root = page.readBigUInt64LE(data + rootInTable);
  if (root !== noPage) open.push(root);
  return true;
}
