import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { SalusError } from '@salus/protocol';
import { backupRunningNode } from '../backup/online-backup.ts';
import { writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { NodeContext } from '../node/start-node.ts';
import { type ControlAddress, type ControlAnswer, controlFile, lineBytesMax, parseRequest } from './protocol.ts';

const secretBytes = 32;
const loopback = '127.0.0.1';
/** How long somebody may take to say what they want. */
const requestMsMax = 5_000;

async function lineOf(socket: Socket): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    pieces.push(piece as Buffer);
    bytes += (piece as Buffer).length;
    if ((piece as Buffer).includes(10)) break;
    if (bytes > lineBytesMax) throw new NodeFault(NodeErrorCodes.controlRefused, 'The request is too long.');
  }
  return Buffer.concat(pieces).toString();
}

function isSame(given: string, secret: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(secret)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function problemOf(error: unknown): { code: number; detail: string } {
  if (error instanceof NodeFault || error instanceof SalusError) return { code: error.code, detail: error.message };
  return { code: NodeErrorCodes.controlRefused, detail: '' };
}

/** Takes commands from whoever can read the data directory, on the machine of the node. */
class ControlServer {
  readonly #context: NodeContext;
  readonly #secret = randomBytes(secretBytes).toString('base64url');
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #working = new Set<Promise<void>>();

  constructor(context: NodeContext) {
    this.#context = context;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, loopback);
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    const address: ControlAddress = { port, secret: this.#secret };
    writeFileDurably(join(this.#context.dataRoot, controlFile), `${JSON.stringify(address)}\n`);
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(requestMsMax, () => socket.destroy());
    const working = this.#answer(socket).finally(() => this.#working.delete(working));
    this.#working.add(working);
  }

  async #answer(socket: Socket): Promise<void> {
    let answer: ControlAnswer;
    try {
      const line = await lineOf(socket);
      socket.setTimeout(0);
      answer = { ok: true, value: await this.#execute(line) };
    } catch (error) {
      if (!(error instanceof NodeFault)) this.#context.log.fault('', 'a command to the running node', error);
      answer = { ok: false, problem: problemOf(error) };
    }
    if (!socket.destroyed) socket.end(`${JSON.stringify(answer)}\n`);
  }

  async #execute(line: string): Promise<unknown> {
    const request = parseRequest(line);
    if (!isSame(request.secret, this.#secret)) {
      throw new NodeFault(NodeErrorCodes.controlRefused, 'The secret is not the one of this start.');
    }
    const { organizations, clockMs } = this.#context;
    if (request.command === 'backup') {
      const { files, ...about } = await backupRunningNode(this.#context, request.to, clockMs());
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      return { ...about, files: files.length, bytes };
    }
    const organization = organizations.get(request.slug);
    if (organization === undefined) throw new NodeFault(NodeErrorCodes.organizationUnknown);
    return { current: organization.reloadKeys() };
  }

  /** Ends what is idle, and waits for what was begun. */
  async close(): Promise<void> {
    rmSync(join(this.#context.dataRoot, controlFile), { force: true });
    this.#server.close();
    await Promise.allSettled(this.#working);
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Takes commands from the node's own machine from now on: backup, keys. Gives what ends it. */
export async function startControl(context: NodeContext): Promise<() => Promise<void>> {
  const server = new ControlServer(context);
  await server.listen();
  return () => server.close();
}
