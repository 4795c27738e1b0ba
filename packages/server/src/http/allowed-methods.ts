import type { FastifyInstance } from 'fastify';

interface KnownPath {
  pattern: RegExp;
  /** `1` for each segment that is a text and `0` for one that is a parameter: of two paths the router takes the higher. */
  rank: string;
  methods: Set<string>;
}

const knownPaths = new WeakMap<object, Map<string, KnownPath>>();

function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((segment) => {
      if (segment === '*') return '.*';
      if (segment.startsWith(':')) return '[^/]+';
      return segment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('/');
  return new RegExp(`^${source}$`);
}

function rankOf(url: string): string {
  return url
    .split('/')
    .map((segment) => (/^[:*]/.test(segment) ? '0' : '1'))
    .join('');
}

/** Notes each route as it is registered; without it a wrong method on a right path would look like a wrong path. */
export function rememberMethods(http: FastifyInstance): void {
  const paths = new Map<string, KnownPath>();
  knownPaths.set(http.server, paths);
  http.addHook('onRoute', (route) => {
    const { url } = route;
    const known = paths.get(url) ?? { pattern: patternOf(url), rank: rankOf(url), methods: new Set(['OPTIONS']) };
    for (const method of [route.method].flat()) known.methods.add(method);
    paths.set(url, known);
  });
}

/** Methods that some route takes at the path of this URL; none where no route is. */
export function allowedMethods(http: FastifyInstance, url: string): string[] {
  const path = url.split('?')[0] ?? '';
  const fitting = [...(knownPaths.get(http.server)?.values() ?? [])].filter(({ pattern }) => pattern.test(path));
  const highest = fitting
    .map(({ rank }) => rank)
    .sort()
    .at(-1);
  const methods = new Set(fitting.filter(({ rank }) => rank === highest).flatMap((known) => [...known.methods]));
  return [...methods].sort();
}
