import type { Alternative, Criterion, Search } from '@salus/standards';
import type { ResourceMeta } from '../records/resource-store.ts';

/** Token parameters of which the sealed index has every value. */
const tokensIndexed: ReadonlySet<string> = new Set([
  'code',
  'category',
  'type',
  'status',
  'identifier',
  'class',
  'intent',
  'clinical-status',
]);

/**
 * Whether a resource may match, by what the sealed index knows: false only where the search would not match either. So
 * that a search opens, and puts into the patient's accounting, little else than what it gives.
 */
export function mayMatch(meta: ResourceMeta, search: Search): boolean {
  return search.criteria.every((criterion) => mayMeet(meta, criterion));
}

function mayMeet(meta: ResourceMeta, { parameter, modifier, alternatives }: Criterion): boolean {
  if (modifier !== undefined || alternatives.length === 0) return true;
  const { name, kind } = parameter;
  if (kind === 'id') return alternatives.some((one) => one.kind === 'token' && one.code === meta.id);
  if (kind === 'token' && tokensIndexed.has(name)) return alternatives.some((one) => hasToken(meta, name, one));
  if (kind === 'reference') return alternatives.some((one) => hasReference(meta, name, one));
  return true;
}

function hasToken({ tokens }: ResourceMeta, name: string, wanted: Alternative): boolean {
  if (wanted.kind !== 'token') return true;
  const { system, code } = wanted;
  const folded = code?.toLowerCase();
  return tokens.some((token) => {
    if (!token.startsWith(`${name}=`)) return false;
    const bar = token.indexOf('|', name.length);
    // A system or code with a bar in it: let the matcher decide.
    if (token.indexOf('|', bar + 1) >= 0) return true;
    const systemFits = system === undefined || token.slice(name.length + 1, bar) === system;
    return systemFits && (folded === undefined || token.slice(bar + 1) === folded);
  });
}

function hasReference({ tokens }: ResourceMeta, name: string, wanted: Alternative): boolean {
  if (wanted.kind !== 'reference' || wanted.url !== undefined || wanted.id === undefined) return true;
  const start = wanted.type === undefined ? `${name}=` : `${name}=${wanted.type}/`;
  return tokens.some((token) => token.startsWith(start) && token.endsWith(`/${wanted.id}`));
}

/** References of a resource that `_include` asks for, as `Type/id`. */
export function mayInclude(meta: ResourceMeta, search: Search): string[] {
  return search.include
    .filter(({ type }) => type === meta.type)
    .flatMap(({ parameter, target }) =>
      meta.tokens
        .filter((token) => (parameter === '*' ? !token.includes('|') : token.startsWith(`${parameter}=`)))
        .map((token) => token.slice(token.indexOf('=') + 1))
        .filter((name) => target === undefined || name.startsWith(`${target}/`)),
    );
}
