import type { Readable } from 'node:stream';
import { fhirType } from '@salus/api';
import type { FastifyReply } from 'fastify';

/** What a FHIR interaction gives: the body of a response, or of one entry of a batch. */
export interface Answer {
  status: number;
  headers: Readonly<Record<string, string>>;
  /** JSON text: parsing and writing it again would change the precision of its numbers. */
  text?: string;
  stream?: Readable;
}

export function answer(text: string, headers: Record<string, string> = {}, status = 200): Answer {
  return { status, headers, text };
}

export function emptyAnswer(status: number, headers: Record<string, string> = {}): Answer {
  return { status, headers };
}

export function sendAnswer(reply: FastifyReply, { status, headers, text, stream }: Answer): FastifyReply {
  reply.code(status).headers({ ...headers, 'cache-control': 'no-store' });
  if (stream !== undefined) return reply.type(fhirType).send(stream);
  return text === undefined ? reply.send() : reply.type(fhirType).send(Buffer.from(text));
}
