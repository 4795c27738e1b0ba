import { registerHooks } from 'node:module';

/** What stands for the libraries that have a time of their own, and for signatures that were checked already. */
const native = new URL('./native.ts', import.meta.url).href;
const cryptoOnce = new URL('./crypto-once.ts', import.meta.url).href;
const replaced: ReadonlySet<string> = new Set(['lmdb', 'node:sqlite', 'node:worker_threads']);
const checksSignatures = /\/packages\/ledger\/src\/(verify\/signature-checks|replay)\.ts$/;

registerHooks({
  resolve(specifier, context, next) {
    const parent = context.parentURL ?? '';
    if (specifier === 'node:crypto' && checksSignatures.test(parent)) return { url: cryptoOnce, shortCircuit: true };
    const isLedger = parent.includes('/packages/ledger/src/');
    return isLedger && replaced.has(specifier) ? { url: native, shortCircuit: true } : next(specifier, context);
  },
});
