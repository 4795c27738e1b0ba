import type { Socket } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { FrameReader, frame } from './frames.ts';
import {
  type Request,
  type Response,
  ResponseExceptionSchema,
  ResponseSchema,
} from './generated/tendermint/abci/types_pb.ts';
import { abciWaitingRequestsMax } from './limits.ts';
import { readRequest } from './requests.ts';

export type AbciRequest = Request['value'];
export type AbciResponse = Response['value'];
/** An answer, or the promise of one. What it throws or rejects with goes to CometBFT as an exception. */
export type AbciHandler = (request: AbciRequest) => AbciResponse | Promise<AbciResponse>;
export type AbciLog = (event: string, fields: Readonly<Record<string, string | number>>) => void;

/** Encoded once: each transaction is checked before every block that it waits for. */
const sharedFrames = new Map<AbciResponse, Uint8Array>();

/** An answer that is given again and again; it must not be changed. */
export function sharedAnswer<R extends AbciResponse>(answer: R): R {
  sharedFrames.set(answer, Buffer.concat(encodedAnswer(answer)));
  return answer;
}

function encodedAnswer(answer: AbciResponse): Uint8Array[] {
  return frame(toBinary(ResponseSchema, create(ResponseSchema, { value: answer })));
}

type Exchange = { request: AbciRequest; answer: AbciResponse | undefined };

/** These may run beside each other; everything else waits for what came before it. */
const CONCURRENT: ReadonlySet<AbciRequest['case']> = new Set(['checkTx', 'echo', 'flush']);

/**
 * One of CometBFT's four connections. Answers go out in the order of their requests, as the socket protocol demands
 * (CometBFT specification, "ABCI++ client and server"); a flush is answered when everything before it is.
 */
export class AbciConnection {
  readonly #socket: Socket;
  readonly #handler: AbciHandler;
  readonly #log: AbciLog;
  readonly #frames = new FrameReader();
  /** In the order of the requests; answered ones leave from the front. */
  #exchanges: Exchange[] = [];
  /** Exchanges before this place have been started. */
  #started = 0;
  #running = 0;
  #isSerialRunning = false;
  #isAwake = false;
  #isEnded = false;
  #idle: (() => void)[] = [];

  constructor(socket: Socket, handler: AbciHandler, log: AbciLog) {
    this.#socket = socket;
    this.#handler = handler;
    this.#log = log;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(undefined));
  }

  /** Ends it once what runs has run. */
  async close(): Promise<void> {
    this.#isEnded = true;
    this.#socket.pause();
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#socket.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isEnded) return;
    try {
      for (const message of this.#frames.push(chunk)) {
        this.#exchanges.push({ request: readRequest(message), answer: undefined });
      }
    } catch (error) {
      this.#end(error as Error);
      return;
    }
    if (this.#exchanges.length > abciWaitingRequestsMax) this.#socket.pause();
    this.#start();
  }

  #start(): void {
    while (!this.#isEnded && this.#started < this.#exchanges.length && !this.#isSerialRunning) {
      const exchange = this.#exchanges[this.#started] as Exchange;
      const isSerial = !CONCURRENT.has(exchange.request.case);
      if (isSerial && this.#running > 0) break;
      this.#started += 1;
      this.#running += 1;
      this.#isSerialRunning = isSerial;
      this.#run(exchange);
    }
    this.#send();
  }

  #run(exchange: Exchange): void {
    try {
      const answer = this.#handler(exchange.request);
      if (!(answer instanceof Promise)) {
        this.#finish(exchange, answer);
        return;
      }
      answer.then(
        (value) => {
          this.#finish(exchange, value);
          this.#wake();
        },
        (error: unknown) => {
          this.#finish(exchange, this.#exception(exchange, error));
          this.#wake();
        },
      );
    } catch (error) {
      this.#finish(exchange, this.#exception(exchange, error));
    }
  }

  /** Answers that are found together, as those of a batch of signatures are, go out together. */
  #wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(() => {
      this.#isAwake = false;
      this.#start();
    });
  }

  #finish(exchange: Exchange, answer: AbciResponse): void {
    exchange.answer = answer;
    this.#running -= 1;
    this.#isSerialRunning = false;
    if (this.#running > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle = [];
  }

  #exception({ request }: Exchange, error: unknown): AbciResponse {
    const text = error instanceof Error ? error.message : 'unknown fault';
    this.#log('abci-exception', { request: request.case ?? '', error: text });
    return { case: 'exception', value: create(ResponseExceptionSchema, { error: text }) };
  }

  #send(): void {
    const frames: Uint8Array[] = [];
    let sent = 0;
    for (; sent < this.#started; sent += 1) {
      const { answer } = this.#exchanges[sent] as Exchange;
      if (!answer) break;
      const shared = sharedFrames.get(answer);
      if (shared) frames.push(shared);
      else frames.push(...encodedAnswer(answer));
    }
    if (sent === 0) return;
    this.#exchanges.splice(0, sent);
    this.#started -= sent;
    if (this.#socket.writable) this.#socket.write(Buffer.concat(frames));
    if (this.#socket.isPaused() && !this.#isEnded && this.#exchanges.length <= abciWaitingRequestsMax) {
      this.#socket.resume();
    }
  }

  #end(error: Error | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#log('abci-connection-ended', { reason: error?.message ?? 'closed by the other side' });
    this.#socket.destroy();
  }
}
