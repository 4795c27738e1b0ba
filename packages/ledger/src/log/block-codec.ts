import type { LedgerEvent, TransactionResult } from '@salus/contracts';
import { type Commit, fromHex, type Header, type JsonValue, toHex } from '@salus/protocol';

/** Headers, commits and results inside a logged block: JSON, bytes as `hex:…`. */
const HEX_MARK = 'hex:';

export type ResultJson = {
  code: number;
  log: string;
  cost: number;
  events: LedgerEvent[];
  outputs: JsonValue[];
  /** Lower-case hex. */
  data: string;
};

export function encodeSigned(signed: { header: Header; commit: Commit }): string {
  return JSON.stringify(signed, function replace(this: Record<string, unknown>, key, value: unknown) {
    const original = this[key];
    return original instanceof Uint8Array ? HEX_MARK + toHex(original) : value;
  });
}

export function decodeSigned(text: string): { header: Header; commit: Commit } {
  return JSON.parse(text, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith(HEX_MARK) ? fromHex(value.slice(HEX_MARK.length)) : value,
  ) as { header: Header; commit: Commit };
}

export function resultJson(result: TransactionResult): ResultJson {
  const { code, log, cost, events, outputs, data } = result;
  return { code, log, cost, events, outputs, data: toHex(data) };
}

export function encodeResults(results: readonly ResultJson[]): string {
  return JSON.stringify(results);
}

export function decodeResults(text: string): ResultJson[] {
  return JSON.parse(text) as ResultJson[];
}

/** A result as the tree of results hashes it. */
export function hashedResult({ code, data, cost }: ResultJson): { code: number; data: Uint8Array; cost: number } {
  return { code, data: fromHex(data), cost };
}
