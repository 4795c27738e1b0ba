import {
  ApiErrorCodes,
  type Block,
  listLimitDefault,
  routes,
  type TransactionResult,
  type TransactionSummary,
} from '@salus/api';
import { parseTransaction, SalusError, toBase64url, toHex, utf8Text } from '@salus/protocol';
import type { CommittedBlock, CommittedResult, CommittedTransaction, LedgerAccess } from '../../node/ledger-access.ts';
import type { Refusals } from '../../node/refusals.ts';
import type { HttpMetrics } from '../metrics.ts';
import type { Mounter } from '../mount.ts';
import { ApiFault, RuleFault } from '../problems.ts';
import { stateContent } from './state-content.ts';

export interface LedgerDependencies {
  ledger: LedgerAccess;
  metrics: HttpMetrics;
  refusals: Refusals;
}

function result(committed: CommittedResult): TransactionResult {
  const { hash, height, index, code, log, data, events, outputs } = committed;
  return { hash, height, index, code, log, data, events, outputs };
}

function summary(committed: CommittedTransaction): TransactionSummary {
  const { hash, height, index, code, types, sender, timeMs } = committed;
  return { hash, height, index, code, types, sender, timeMs };
}

function blockBody(block: CommittedBlock): Block {
  const { height, timeMs, appHash, hash } = block;
  return { height, timeMs, appHash, hash, transactions: block.transactions.map(summary) };
}

/** A transaction in a block that a rule refused is an error for the caller, and a fact with a place on the ledger. */
function rejected({ code, log, hash, height, index }: CommittedResult): RuleFault {
  return new RuleFault(code, { detail: log, transaction: { hash, height, index }, status: 422 });
}

async function submitAndWait(
  { ledger, metrics, refusals }: LedgerDependencies,
  bytes: Uint8Array,
): Promise<TransactionResult> {
  try {
    const committed = await ledger.submit(bytes);
    metrics.submitted.inc({ outcome: committed.code === 0 ? 'done' : 'rejected' });
    if (committed.code !== 0) throw rejected(committed);
    return result(committed);
  } catch (error) {
    if (error instanceof SalusError) {
      metrics.submitted.inc({ outcome: 'refused' });
      metrics.refused.inc({ code: String(error.code) });
    }
    refusals.tell(bytes, error);
    throw error;
  }
}

function parsePosition(text: string): { height: number; index: number } {
  const [height, index] = text.split('.').map(Number);
  return { height: height ?? 0, index: index ?? 0 };
}

function mountTransactions({ mount }: Mounter, dependencies: LedgerDependencies): void {
  const { ledger } = dependencies;

  mount(routes.submitTransaction, async ({ body, query, reply }) => {
    if (query.wait !== 'none') return await submitAndWait(dependencies, body);
    const { hash } = parseTransaction(body);
    // Whoever does not wait asks for the transaction later; what is refused by then never becomes known.
    submitAndWait(dependencies, body).catch(() => undefined);
    reply.code(202);
    return { hash: toHex(hash) };
  });

  mount(routes.listTransactions, async ({ query }) => {
    const limit = query.limit ?? listLimitDefault;
    const after = query.after === undefined ? undefined : parsePosition(query.after);
    const { participant, type } = query;
    const found = await ledger.find({ participant, type, after, limit: limit + 1 });
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const next = found.length > limit && last !== undefined ? { next: `${last.height}.${last.index}` } : {};
    return { transactions: page.map(summary), ...next };
  });

  mount(routes.getTransaction, async ({ params }) => {
    const committed = await ledger.transaction(params.id);
    if (committed === undefined) throw new ApiFault(ApiErrorCodes.transactionUnknown);
    return { ...result(committed), timeMs: committed.timeMs, transaction: toBase64url(committed.bytes) };
  });

  mount(routes.getReceipt, async ({ params, query, reply }) => {
    if ((await ledger.transaction(params.id)) === undefined) throw new ApiFault(ApiErrorCodes.transactionUnknown);
    const receipt = await ledger.receipt(params.id, { stateKey: query.state });
    // The file is canonical JSON: it goes out byte for byte, or it would not verify.
    return reply.type('application/json').send(Buffer.from(receipt));
  });
}

export function mountLedger(mounter: Mounter, dependencies: LedgerDependencies): void {
  const { ledger } = dependencies;
  mountTransactions(mounter, dependencies);

  mounter.mount(routes.getState, async ({ params, query }) => {
    const key = `${params.contract}/${params.key}`;
    const stored = ledger.get(key);
    const proof = query.proof === true ? JSON.parse(utf8Text(await ledger.stateProof(key))) : undefined;
    const base = { key, present: stored !== undefined, height: ledger.head().height };
    const value = stored === undefined ? {} : { value: toBase64url(stored), content: stateContent(stored) };
    return { ...base, ...value, ...(proof === undefined ? {} : { proof }) };
  });

  mounter.mount(routes.getBlock, async ({ params }) => {
    const block = await ledger.block(params.height);
    if (block === undefined) throw new ApiFault(ApiErrorCodes.blockUnknown);
    return blockBody(block);
  });

  mounter.mount(routes.getAnchor, async ({ reply }) =>
    reply.type('application/json').send(Buffer.from(await ledger.anchor())),
  );
}
