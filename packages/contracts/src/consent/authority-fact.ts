import type { AuthorityContent } from '../identity/authority-content.ts';
import { isAuthorityActive } from '../identity/queries.ts';
import type { AuthorityEntry } from '../identity/state.ts';
import type { AuthorityFact } from './facts.ts';

/**
 * An authority as checkConsent takes it, from its unsealed content and its entry on the ledger. `excludedByCourt`
 * comes from the custodian's own file: a court's order is not the ledger's to tell.
 */
export function authorityFact(
  content: AuthorityContent,
  entry: AuthorityEntry,
  nowMs: number,
  excludedByCourt = false,
): AuthorityFact {
  const { actions, categories, excluded } = content.scope;
  return {
    id: entry.authority,
    kind: content.kind,
    revoked: !isAuthorityActive(entry, nowMs),
    excludedByCourt,
    fromMs: content.fromMs,
    ...(content.untilMs !== undefined && { untilMs: content.untilMs }),
    scope: {
      actions,
      what: {
        ...(categories ? { categories } : { all: true }),
        ...(excluded && { except: { categories: excluded, labels: excluded } }),
      },
    },
  };
}
