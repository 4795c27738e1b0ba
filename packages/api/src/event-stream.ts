import { type ClientOptions, send } from './client.ts';
import type { RouteDefinition } from './route.ts';

/** One server-sent event (WHATWG HTML §9.2): what the stream's fields said. */
export interface StreamEvent {
  id: string;
  event: string;
  data: string;
}

/** Longest event a client takes: a stream that never ends an event must not fill the memory. */
export const streamEventCharsMax = 4_194_304;

/** Parses the text of an event stream as it arrives; `push` gives the events that are complete. */
export function createEventParser(): { push(text: string): StreamEvent[] } {
  let rest = '';
  let id = '';
  let event = '';
  let data: string[] = [];
  const line = (text: string, out: StreamEvent[]): void => {
    if (text === '') {
      if (data.length > 0) out.push({ id, event: event === '' ? 'message' : event, data: data.join('\n') });
      event = '';
      data = [];
      return;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'event') event = value;
    else if (name === 'data') data.push(value);
  };
  return {
    push(text) {
      const out: StreamEvent[] = [];
      const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      if (rest.length > streamEventCharsMax) throw new RangeError('an event of the stream is too long');
      for (const one of lines) line(one, out);
      return out;
    },
  };
}

export interface StreamInput {
  params?: Readonly<Record<string, unknown>>;
  query?: Readonly<Record<string, unknown>>;
  lastEventId?: string;
  signal?: AbortSignal;
}

/** Reads one connection of an event-stream route until it ends; the caller reconnects with the last id it has seen. */
export async function* streamEvents(
  options: ClientOptions,
  route: RouteDefinition,
  input: StreamInput = {},
): AsyncGenerator<StreamEvent> {
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (input.lastEventId !== undefined) headers['last-event-id'] = input.lastEventId;
  const response = await send(options, route, { ...input, headers });
  if (response.body === null) return;
  const parser = createEventParser();
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    yield* parser.push(decoder.decode(chunk, { stream: true }));
  }
}
