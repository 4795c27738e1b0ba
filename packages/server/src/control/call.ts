import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { NodeErrorCodes, NodeFault, nodeErrors } from '../node/errors.ts';
import {
  type ControlAddress,
  type ControlAnswer,
  type ControlRequest,
  controlFile,
  isControlAddress,
} from './protocol.ts';

function addressOf(dataRoot: string): ControlAddress | undefined {
  const path = join(dataRoot, controlFile);
  if (!existsSync(path)) return undefined;
  try {
    const address: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isControlAddress(address) ? address : undefined;
  } catch {
    return undefined;
  }
}

async function exchange({ port, secret }: ControlAddress, request: ControlRequest): Promise<ControlAnswer> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.end(`${JSON.stringify({ secret, ...request })}\n`);
    const pieces: Buffer[] = [];
    for await (const piece of socket) pieces.push(piece as Buffer);
    return JSON.parse(Buffer.concat(pieces).toString());
  } finally {
    socket.destroy();
  }
}

function isNodeError(code: number): code is NodeFault['code'] {
  return nodeErrors.has(code);
}

/**
 * Has the running node of a data directory do something. Throws `controlUnavailable` where none answers on this machine,
 * and what the node refused.
 */
export async function callNode(dataRoot: string, request: ControlRequest): Promise<unknown> {
  const address = addressOf(dataRoot);
  if (address === undefined) throw new NodeFault(NodeErrorCodes.controlUnavailable);
  let answer: ControlAnswer;
  try {
    answer = await exchange(address, request);
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.controlUnavailable, undefined, { cause });
  }
  if (answer.ok) return answer.value;
  const { code, detail } = answer.problem;
  const advice = nodeErrors.get(code)?.advice ?? '';
  const said = detail.replace(advice, '').trim();
  throw new NodeFault(isNodeError(code) ? code : NodeErrorCodes.controlRefused, said === '' ? undefined : said);
}
