import { NodeErrorCodes, NodeFault } from '../node/errors.ts';

/**
 * How commands on the same machine reach a running node: one line of JSON there, one back, over a loopback port that the
 * file `control` of the data directory names beside a secret. Who may read that file may already do everything to the node.
 */
export const controlFile = 'control';
export const lineBytesMax = 65_536;

export interface ControlAddress {
  port: number;
  /** base64url; new at every start. */
  secret: string;
}

export type ControlRequest = { command: 'backup'; to: string } | { command: 'reloadKeys'; slug: string };

export type ControlAnswer = { ok: true; value: unknown } | { ok: false; problem: { code: number; detail: string } };

export function isControlAddress(value: unknown): value is ControlAddress {
  if (typeof value !== 'object' || value === null) return false;
  const { port, secret } = value as Record<string, unknown>;
  return typeof port === 'number' && typeof secret === 'string';
}

/** Throws `controlRefused` for what is no request. */
export function parseRequest(line: string): ControlRequest & { secret: string } {
  try {
    const { secret, command, to, slug } = JSON.parse(line);
    if (typeof secret === 'string' && command === 'backup' && typeof to === 'string') return { secret, command, to };
    if (typeof secret === 'string' && command === 'reloadKeys' && typeof slug === 'string') {
      return { secret, command, slug };
    }
  } catch {
    // Falls through: what cannot be read is no request.
  }
  throw new NodeFault(NodeErrorCodes.controlRefused, 'The request cannot be read.');
}
