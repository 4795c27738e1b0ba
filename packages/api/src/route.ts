import type { Static, TSchema } from 'typebox';

/** Who may call a route. `member`: a bearer token of a registered organisation; `wallet`: a patient's own key. */
export type RouteAuth = 'none' | 'member' | 'wallet' | 'member-or-wallet';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RouteResponse {
  readonly description: string;
  /** Shape of the JSON body. A response without one is text, a stream, or empty; `type` then names its media type. */
  readonly schema?: TSchema;
  readonly type?: string;
  readonly example?: unknown;
}

/** A body that is taken as it stands, byte for byte: signatures cover the bytes, not what they parse to. */
export interface RawBody {
  readonly types: readonly string[];
  readonly bytesMax: number;
  readonly description: string;
  /** Given to the handler as it arrives, which then has to keep to `bytesMax` itself. */
  readonly stream?: true;
}

/** What a FHIR route is in the words of CapabilityStatement.rest. */
export interface FhirInteraction {
  readonly system?: readonly string[];
  readonly type?: readonly string[];
  /** Members of CapabilityStatement.rest.resource that say which conditions are understood. */
  readonly conditional?: Readonly<Record<string, boolean | string>>;
  readonly operation?: { readonly type: string; readonly name: string };
}

/**
 * One HTTP route, defined once: the server validates by it, the OpenAPI document shows it, the client is typed by it.
 *
 * `path` uses OpenAPI's braces; a last segment `{name+}` takes the rest of the path with its slashes.
 */
export interface RouteDefinition {
  readonly id: string;
  readonly method: HttpMethod;
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly auth: RouteAuth;
  readonly params?: TSchema;
  readonly query?: TSchema;
  /** Request headers that matter here; shown, and read by the handler itself. */
  readonly headers?: TSchema;
  readonly body?: TSchema;
  readonly rawBody?: RawBody;
  /** A body that this route takes; of a raw one what its text says. */
  readonly bodyExample?: unknown;
  readonly bodyBytesMax?: number;
  readonly responses: Readonly<Record<number, RouteResponse>>;
  /** How errors are told: problem details unless a standard has a form of its own. */
  readonly errors?: 'OperationOutcome';
  readonly interaction?: FhirInteraction;
}

/** Keeps the literal types of a definition, which `ParamsOf` and the others read. */
export function route<const R extends RouteDefinition>(definition: R): R {
  return definition;
}

type StaticOr<S, Otherwise> = S extends TSchema ? Static<S> : Otherwise;
type SuccessStatus = 200 | 201 | 202 | 204;

export type ParamsOf<R extends RouteDefinition> = StaticOr<R['params'], Record<never, never>>;
export type QueryOf<R extends RouteDefinition> = StaticOr<R['query'], Record<never, never>>;
export type BodyOf<R extends RouteDefinition> = R['rawBody'] extends { readonly stream: true }
  ? AsyncIterable<Uint8Array>
  : R['rawBody'] extends RawBody
    ? Uint8Array
    : StaticOr<R['body'], undefined>;

type ResponseBody<T> = T extends { readonly schema: infer S extends TSchema } ? Static<S> : string;

/** The body that a successful call gives: of several success statuses, the union. */
export type ResultOf<R extends RouteDefinition> = {
  [S in keyof R['responses'] & SuccessStatus]: ResponseBody<R['responses'][S]>;
}[keyof R['responses'] & SuccessStatus];

const REST_PARAMETER = /\{([A-Za-z]+)\+\}$/;

/** The name of the parameter that takes the rest of the path, when the route has one. */
export function restParameter(path: string): string | undefined {
  return REST_PARAMETER.exec(path)?.[1];
}

/** The path in OpenAPI's notation, which has no mark for "with slashes". */
export function openApiPath(path: string): string {
  return path.replace(REST_PARAMETER, '{$1}');
}

/** The path with its parameters filled in and percent-encoded; a rest parameter keeps its slashes. */
export function fillPath(path: string, params: Readonly<Record<string, unknown>> = {}): string {
  return path.replace(/\{([A-Za-z]+)(\+?)\}/g, (_match, name: string, rest: string) => {
    const value = params[name];
    if (value === undefined || value === null || value === '') throw new TypeError(`path parameter ${name} is missing`);
    const text = String(value);
    return rest === '+' ? text.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(text);
  });
}

/** `?a=1&b=2`, or nothing; undefined values are left out. */
export function fillQuery(query: Readonly<Record<string, unknown>> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}
