import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { Expiry } from './expiry.ts';

const certificateBytesMax = 1024 * 1024;
const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The first end among the certificates of a PEM file, intermediate ones included: a chain holds as long as all of it. */
function endOf(file: string): number {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > certificateBytesMax) throw new RangeError();
    const ends = (text.match(pemBlock) ?? []).map((pem) => Date.parse(new X509Certificate(pem).validTo));
    const first = Math.min(...ends);
    if (Number.isFinite(first)) return first;
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.certificateUnreadable, undefined, { cause });
  }
  throw new NodeFault(NodeErrorCodes.certificateUnreadable);
}

/** When the certificates in these PEM files end. Throws a NodeFault for one that cannot be read. */
export function certificateExpiries(files: readonly string[]): Expiry[] {
  return files.map((file) => ({ kind: 'certificate', name: basename(file), expiresMs: endOf(file) }));
}
