import { sha256 } from '@salus/protocol';
import { snapshotChunkBytes } from '../limits.ts';
import { type Manifest, parseSnapshot, type Snapshot, snapshotOf, type TrustedState } from '../snapshot/manifest.ts';
import { type RestoreOptions, SnapshotRestore } from '../snapshot/restore.ts';
import type { Snapshots } from '../snapshot/snapshots.ts';

export type Carried = { snapshot: Snapshot; chunks: Uint8Array[] };

/** A snapshot as somebody who fetched all of it holds it. */
export async function carry(from: Snapshots, snapshot: Snapshot): Promise<Carried> {
  const { height, format } = snapshot;
  const chunks: Uint8Array[] = [];
  for (let index = 0; index < snapshot.chunks; index += 1) chunks.push(await from.chunk(height, format, index));
  return { snapshot, chunks };
}

/** What a light client that followed the chain would know. */
export function trustOf({ snapshot }: Carried): TrustedState {
  const { chain, height, appHash } = parseSnapshot(snapshot);
  return { chain, height, appHash };
}

export async function restore(
  { snapshot, chunks }: Carried,
  options: Omit<RestoreOptions, 'snapshot'>,
): Promise<'more' | 'whole'> {
  const restoring = await SnapshotRestore.begin({ ...options, snapshot });
  let state: 'more' | 'whole' = 'more';
  try {
    for (const [index, chunk] of chunks.entries()) state = await restoring.apply(index, chunk);
  } finally {
    await restoring.abort();
  }
  return state;
}

/** A snapshot of other bytes whose manifest agrees with them in everything but what `change` says. */
export function forge({ snapshot }: Carried, bytes: Uint8Array, change: Partial<Manifest> = {}): Carried {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += snapshotChunkBytes)
    chunks.push(bytes.subarray(at, at + snapshotChunkBytes));
  const manifest = { ...parseSnapshot(snapshot), bytes: bytes.length, chunks: chunks.map((chunk) => sha256(chunk)) };
  return { snapshot: snapshotOf({ ...manifest, ...change }), chunks };
}

const jsonName = 'carried.json';

/** As files, for another process. */
export function writeCarried({ snapshot, chunks }: Carried, write: (name: string, bytes: Uint8Array) => void): void {
  const { height, format, metadata } = snapshot;
  const content = { height, format, chunks: chunks.length, metadata: Buffer.from(metadata).toString('base64') };
  write(jsonName, Buffer.from(JSON.stringify(content)));
  for (const [index, chunk] of chunks.entries()) write(String(index), chunk);
}

export function readCarried(read: (name: string) => Uint8Array): Carried {
  const json = JSON.parse(Buffer.from(read(jsonName)).toString()) as {
    height: number;
    format: number;
    chunks: number;
    metadata: string;
  };
  const metadata = Buffer.from(json.metadata, 'base64');
  const chunks = Array.from({ length: json.chunks }, (_chunk, index) => read(String(index)));
  return { snapshot: { ...json, hash: sha256(metadata), metadata }, chunks };
}
