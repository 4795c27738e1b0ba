import {
  type BodyOf,
  fillPath,
  fillQuery,
  type ParamsOf,
  type QueryOf,
  type ResultOf,
  type RouteDefinition,
} from './route.ts';
import { routes } from './routes/all.ts';
import type { Problem } from './schemas.ts';

/** An answer that is not a success. `problem` is what the node said, or a stand-in when something between said it. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: number;
  readonly problem: Problem;
  constructor(status: number, problem: Problem) {
    super(`${problem.title} (${problem.code}). ${problem.advice}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = problem.code;
    this.problem = problem;
  }
}

export interface ClientOptions {
  /** Address of the node, as `http://127.0.0.1:8080`. */
  baseUrl: string;
  fetch?: typeof globalThis.fetch;
  /** Gives the bearer token for a call; a wallet signs one per method and path. */
  token?: (method: string, path: string) => string | undefined | Promise<string | undefined>;
}

type Given<Name extends string, T> = [T] extends [undefined]
  ? { [K in Name]?: undefined }
  : Record<never, never> extends T
    ? { [K in Name]?: T }
    : { [K in Name]: T };

export type CallInput<R extends RouteDefinition> = Given<'params', ParamsOf<R>> &
  Given<'query', QueryOf<R>> &
  Given<'body', BodyOf<R>> & { signal?: AbortSignal; headers?: Record<string, string> };

interface LooseInput {
  params?: Readonly<Record<string, unknown>>;
  query?: Readonly<Record<string, unknown>>;
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

function requestBody(
  route: RouteDefinition,
  body: unknown,
): { body?: Uint8Array<ArrayBuffer> | ReadableStream | string; type?: string; duplex?: 'half' } {
  if (body === undefined) return {};
  if (route.rawBody?.stream === true) {
    const stream = streamOf(body as AsyncIterable<Uint8Array>);
    return { body: stream, type: route.rawBody.types[0], duplex: 'half' };
  }
  if (route.rawBody !== undefined) {
    if (!(body instanceof Uint8Array)) throw new TypeError(`${route.id} takes bytes`);
    return { body: new Uint8Array(body), type: route.rawBody.types[0] };
  }
  return { body: JSON.stringify(body), type: 'application/json' };
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && 'title' in value && 'advice' in value;
}

async function problemOf(response: Response): Promise<Problem> {
  const value: unknown = await response.json().catch(() => undefined);
  if (isProblem(value)) return value;
  return {
    type: 'about:blank',
    title: `The server answered ${response.status}`,
    status: response.status,
    code: 0,
    advice: 'Check the address: this answer is not from a Salus node.',
    requestId: '',
  };
}

/** Sends one call and gives the response when it is a success; everything else is an `ApiError`. */
export async function send(options: ClientOptions, route: RouteDefinition, input: LooseInput = {}): Promise<Response> {
  const path = fillPath(route.path, input.params);
  const { body, type, duplex } = requestBody(route, input.body);
  const headers: Record<string, string> = { ...input.headers };
  if (type !== undefined) headers['content-type'] = type;
  const token = await options.token?.(route.method, path);
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const url = `${options.baseUrl.replace(/\/+$/, '')}${path}${fillQuery(input.query)}`;
  const response = await (options.fetch ?? globalThis.fetch)(url, {
    method: route.method,
    headers,
    body,
    signal: input.signal,
    ...(duplex === undefined ? {} : { duplex }),
  } as RequestInit);
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

/** Calls a route and gives its body: parsed when the route describes one, else as text. */
export async function call<const R extends RouteDefinition>(
  options: ClientOptions,
  route: R,
  input: CallInput<R>,
): Promise<ResultOf<R>> {
  const response = await send(options, route, input);
  const described = route.responses[response.status]?.schema !== undefined;
  // The node validates what it sends against the same schema in its tests; here the type is taken at its word.
  return (described ? await response.json() : await response.text()) as ResultOf<R>;
}

type AllRoutes = typeof routes;
type Method<R extends RouteDefinition> =
  Record<never, never> extends CallInput<R>
    ? (input?: CallInput<R>) => Promise<ResultOf<R>>
    : (input: CallInput<R>) => Promise<ResultOf<R>>;

/** One typed method per route, named by its id. */
export type Client = { readonly [Id in keyof AllRoutes]: Method<AllRoutes[Id]> };

export function createClient(options: ClientOptions): Client {
  const methods = Object.entries(routes).map(([id, route]) => [
    id,
    (input?: LooseInput) => call<RouteDefinition>(options, route, (input ?? {}) as CallInput<RouteDefinition>),
  ]);
  return Object.fromEntries(methods) as Client;
}
