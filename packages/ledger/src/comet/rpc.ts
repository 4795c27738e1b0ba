import { Agent, request } from 'node:http';
import { cometError } from './errors.ts';
import { rpcAnswerBytesMax, rpcSocketsMax, rpcTimeoutMs } from './limits.ts';

/** `data` of CometBFT's error: what went wrong, in its words. */
type RpcAnswer = { result?: unknown; error?: { message?: string; data?: string } };

/**
 * The JSON-RPC of this member's own CometBFT, over the loopback interface. Throws `consensusUnreachable` where nobody
 * answers and `consensusRefused` with CometBFT's own words where it says no.
 */
export class CometRpc {
  readonly #port: number;
  readonly #host: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: rpcSocketsMax });
  #nextId = 0;

  constructor(port: number, host = '127.0.0.1') {
    this.#port = port;
    this.#host = host;
  }

  async call(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.#nextId += 1;
    const text = await this.#post(JSON.stringify({ jsonrpc: '2.0', id: this.#nextId, method, params }));
    let answer: RpcAnswer;
    try {
      answer = JSON.parse(text) as RpcAnswer;
    } catch (cause) {
      throw cometError('consensusAnswerInvalid', method, { cause });
    }
    if (answer.error) throw cometError('consensusRefused', answer.error.data || answer.error.message);
    if (answer.result === undefined) throw cometError('consensusAnswerInvalid', method);
    return answer.result;
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void => reject(cometError('consensusUnreachable', undefined, { cause }));
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const target = { host: this.#host, port: this.#port, method: 'POST', agent: this.#agent, timeout: rpcTimeoutMs };
      const call = request({ ...target, headers }, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > rpcAnswerBytesMax) response.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () => resolve(Buffer.concat(chunks).toString()));
      });
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      call.on('error', fail);
      call.end(body);
    });
  }
}
