import { connect, type Socket } from 'node:net';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { AbciRequest, AbciResponse } from '../comet/connection.ts';
import { FrameReader, frame } from '../comet/frames.ts';
import { RequestSchema, ResponseSchema } from '../comet/generated/tendermint/abci/types_pb.ts';

export type RequestInit = NonNullable<MessageInitShape<typeof RequestSchema>['value']>;

type AnswerOf<C> = Extract<AbciResponse, { case: C }>['value'];

/** What CometBFT does on one of its connections, for tests: requests go out, answers come back in their order. */
export class AbciClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #frames = new FrameReader();
  readonly #waiting: { resolve(answer: AbciResponse): void; reject(error: Error): void }[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (chunk) => {
      for (const message of this.#frames.push(chunk)) {
        this.#waiting.shift()?.resolve(fromBinary(ResponseSchema, message).value);
      }
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection ended'));
    });
  }

  static async connect(path: string): Promise<AbciClient> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new AbciClient(socket);
  }

  static bytesOf(request: RequestInit): Uint8Array {
    return Buffer.concat(frame(toBinary(RequestSchema, create(RequestSchema, { value: request }))));
  }

  /** The answer whatever its kind: an exception is one. */
  send(request: RequestInit): Promise<AbciResponse> {
    this.socket.write(AbciClient.bytesOf(request));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The answer of the request's own kind; rejects with the text of an exception. */
  async call<C extends Exclude<AbciRequest['case'], undefined>>(
    kind: C,
    value: RequestInit['value'] = {},
  ): Promise<AnswerOf<C>> {
    const answer = await this.send({ case: kind, value } as RequestInit);
    if (answer.case === 'exception') throw new Error(answer.value.error);
    if (answer.case !== kind) throw new Error(`answered ${answer.case} to ${kind}`);
    return answer.value as unknown as AnswerOf<C>;
  }

  close(): void {
    this.socket.destroy();
  }
}
