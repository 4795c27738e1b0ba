import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { AbciConnection, type AbciHandler, type AbciLog } from './connection.ts';

/** A Unix socket by its path, or a port of the loopback interface (0 takes a free one). */
export type AbciAddress = { path: string } | { port: number };

const loopback = '127.0.0.1';

/** Where CometBFT connects. Nobody but this machine reaches it. */
export class AbciServer {
  readonly #server: Server;
  readonly #address: AbciAddress;
  readonly #connections = new Map<Socket, AbciConnection>();

  private constructor(address: AbciAddress, handler: AbciHandler, log: AbciLog) {
    this.#address = address;
    this.#server = createServer((socket) => {
      this.#connections.set(socket, new AbciConnection(socket, handler, log));
      socket.on('close', () => this.#connections.delete(socket));
    });
  }

  static async listen(address: AbciAddress, handler: AbciHandler, log: AbciLog): Promise<AbciServer> {
    const abci = new AbciServer(address, handler, log);
    // A socket file that a killed process left behind; the directory's lock keeps a living one out.
    if ('path' in address) rmSync(address.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      abci.#server.once('error', reject);
      const listening = (): void => {
        abci.#server.off('error', reject);
        resolve();
      };
      if ('path' in address) abci.#server.listen(address.path, listening);
      else abci.#server.listen(address.port, loopback, listening);
    });
    return abci;
  }

  /** As CometBFT's `proxy_app` takes it. */
  proxyApp(): string {
    if ('path' in this.#address) return `unix://${this.#address.path}`;
    const bound = this.#server.address();
    const port = typeof bound === 'object' && bound ? bound.port : this.#address.port;
    return `tcp://${loopback}:${port}`;
  }

  connections(): number {
    return this.#connections.size;
  }

  /** Requests that run are finished; nothing more is read. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
    await closed;
  }
}
