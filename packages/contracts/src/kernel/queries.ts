import type { Did } from '@salus/protocol';
import type { StateReader } from './types.ts';

/** When a sender first stamped a digest. */
export type Stamp = { height: number; timeMs: number };

export function stampKey(sender: Did, digest: string): string {
  return `kernel/stamp/${sender}/${digest}`;
}

export function stampOf(reader: StateReader, sender: Did, digest: string): Stamp | undefined {
  return reader.get<Stamp>(stampKey(sender, digest));
}
