import { registerHooks } from 'node:module';

/** The libraries that `native.ts` stands for, where the ledger asks for them. */
const native = new URL('./native.ts', import.meta.url).href;
const replaced: ReadonlySet<string> = new Set(['lmdb', 'node:sqlite', 'node:worker_threads']);

registerHooks({
  resolve(specifier, context, next) {
    const isLedger = context.parentURL?.includes('/packages/ledger/src/') ?? false;
    return replaced.has(specifier) && isLedger ? { url: native, shortCircuit: true } : next(specifier, context);
  },
});
