import type { FastifyInstance } from 'fastify';

interface KnownPath {
  pattern: RegExp;
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

/** Notes each route as it is registered; without it a wrong method on a right path would look like a wrong path. */
export function rememberMethods(http: FastifyInstance): void {
  const paths = new Map<string, KnownPath>();
  knownPaths.set(http.server, paths);
  http.addHook('onRoute', (route) => {
    const known = paths.get(route.url) ?? { pattern: patternOf(route.url), methods: new Set(['OPTIONS']) };
    for (const method of [route.method].flat()) known.methods.add(method);
    paths.set(route.url, known);
  });
}

/** Methods that some route takes at the path of this URL; none where no route is. */
export function allowedMethods(http: FastifyInstance, url: string): string[] {
  const path = url.split('?')[0] ?? '';
  const methods = new Set<string>();
  for (const known of knownPaths.get(http.server)?.values() ?? []) {
    if (known.pattern.test(path)) for (const method of known.methods) methods.add(method);
  }
  return [...methods].sort();
}
