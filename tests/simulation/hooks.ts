import { registerHooks } from 'node:module';

/** What stands for libraries that have a time of their own, for signatures checked before, and for large limits. */
const native = new URL('./native.ts', import.meta.url).href;
const cryptoOnce = new URL('./crypto-once.ts', import.meta.url).href;
const smallLimits = new URL('./limits.ts', import.meta.url).href;
const ledgerLimits = new URL('../../packages/ledger/src/limits.ts', import.meta.url).href;
const replaced: ReadonlySet<string> = new Set(['lmdb', 'node:sqlite', 'node:worker_threads']);
const checksSignatures = /\/packages\/ledger\/src\/(verify\/signature-checks|verify\/es256|replay)\.ts$/;

registerHooks({
  resolve(specifier, context, next) {
    const parent = context.parentURL ?? '';
    if (!parent.includes('/packages/ledger/src/')) return next(specifier, context);
    if (specifier === 'node:crypto' && checksSignatures.test(parent)) return { url: cryptoOnce, shortCircuit: true };
    if (replaced.has(specifier)) return { url: native, shortCircuit: true };
    const resolved = next(specifier, context);
    return resolved.url === ledgerLimits ? { ...resolved, url: smallLimits } : resolved;
  },
});
