import { existsSync, readFileSync } from 'node:fs';
import {
  builtInContracts,
  createKernel,
  type GenesisDocument,
  type IterableView,
  parseGenesis,
  type StateReader,
  stateReader,
} from '@salus/contracts';
import {
  type BlockContent,
  CometErrorCodes,
  type ConsensusReport,
  DurableApplication,
  type Found,
  type Ledger,
  LedgerErrorCodes,
  type LedgerMeasurement,
  type LedgerMeasures,
  openLedger,
  type Report,
  upgradeProblem,
} from '@salus/ledger';
import {
  canonicalJson,
  fromBase64url,
  headerHash,
  type JsonValue,
  parseTransaction,
  sha256,
  toHex,
  utf8,
} from '@salus/protocol';
import { addErrorTable, setErrorStatus } from '../http/problems.ts';
import {
  cometPath,
  type DataDirectory,
  ledgerPath,
  readHandover,
  validatorKeyPath,
  writeFileDurably,
} from './data-directory.ts';
import { NodeErrorCodes, NodeFault } from './errors.ts';
import type {
  BlockEvents,
  CommittedBlock,
  CommittedTransaction,
  FindInput,
  LedgerAccess,
  LedgerHead,
  Position,
} from './ledger-access.ts';

for (const { errors } of builtInContracts) {
  addErrorTable(new Map(Object.values(errors).map(({ code, name, advice }) => [code, { name, advice }])));
}

/** What a caller can meet of the ledger's own errors: HTTP status and what to do next. */
const callerErrors: readonly [keyof typeof LedgerErrorCodes, number, string][] = [
  ['diskFull', 503, 'The disk of the node is full: send it again later; nothing that was acknowledged is lost.'],
  ['degraded', 503, 'The node takes no transactions until its disk has been looked at: use another node.'],
  ['storeFailed', 503, 'The node takes no transactions until it is started again: use another node.'],
  ['closed', 503, 'The node is stopping: send it again when it runs.'],
  ['upgradeNeeded', 503, 'The node needs a newer release: use another node until it has it.'],
  ['overloaded', 503, 'Too many transactions are waiting: send it again in a moment.'],
  ['receiptNotReady', 503, 'The block that proves this is not there yet: ask again in a moment.'],
  ['blockNotHere', 404, 'Ask for a height up to the latest; /api/status names it.'],
  ['transactionUnknown', 404, 'Check the hash; a transaction that is refused never reaches a block.'],
  ['stateMoved', 409, 'The state has changed since that block: ask /api/state for a proof of the present one.'],
  ['refused', 400, 'The transaction was not taken: check chain, window, signer and messages, and sign a new one.'],
];
addErrorTable(new Map(callerErrors.map(([name, , advice]) => [LedgerErrorCodes[name], { name, advice }])));
for (const [name, status] of callerErrors) setErrorStatus(LedgerErrorCodes[name], status);

const consensusErrors: readonly [keyof typeof CometErrorCodes, string][] = [
  ['consensusUnreachable', 'The consensus engine of the node is being restarted: send it again in a moment.'],
  ['consensusRefused', 'The consensus engine of the node did not take it: send it again in a moment.'],
  ['undecided', 'Other members may be out of reach: send the same bytes again to learn the outcome.'],
];
addErrorTable(new Map(consensusErrors.map(([name, advice]) => [CometErrorCodes[name], { name, advice }])));
const unavailableStatus = 503;
for (const [name] of consensusErrors) setErrorStatus(CometErrorCodes[name], unavailableStatus);

/** What is left of the key of a validator whose chain was handed over: its public half, and that it signs nothing more. */
const retiredKeyFormat = 'salus-validator-key-retired/1';

export function isRetiredKey(key: unknown): boolean {
  return typeof key === 'object' && key !== null && 'format' in key && key.format === retiredKeyFormat;
}

/**
 * Takes the private half away from a validator that has signed a handover: with it an older copy of the directory could
 * make other blocks after the same ones. Done before, it changes nothing.
 */
export function retireValidatorKey(root: string): void {
  const path = validatorKeyPath(root);
  const key = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  if (isRetiredKey(key)) return;
  const { kty, crv, x } = key;
  writeFileDurably(path, `${JSON.stringify({ format: retiredKeyFormat, kty, crv, x }, null, 2)}\n`);
}

const validatorKeyText = 'The key of the validator, keys/validator.json.';

/** Throws `chainHandedOver` for a retired key. */
export function readSeed(root: string): Uint8Array {
  try {
    const key: unknown = JSON.parse(readFileSync(validatorKeyPath(root), 'utf8'));
    if (isRetiredKey(key)) throw new NodeFault(NodeErrorCodes.chainHandedOver);
    if (typeof key === 'object' && key !== null && 'd' in key && typeof key.d === 'string') return fromBase64url(key.d);
  } catch (cause) {
    if (cause instanceof NodeFault) throw cause;
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const code = isMissing ? NodeErrorCodes.keyFileMissing : NodeErrorCodes.keyFileDamaged;
    throw new NodeFault(code, validatorKeyText, { cause });
  }
  throw new NodeFault(NodeErrorCodes.keyFileDamaged, validatorKeyText);
}

export function genesisOf(directory: DataDirectory): GenesisDocument {
  try {
    return parseGenesis(directory.genesis());
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
}

function committedTransactions(block: BlockContent): CommittedTransaction[] {
  const { height, timeMs } = block;
  return block.transactions.flatMap((bytes, index) => {
    const result = block.results[index];
    if (result === undefined) return [];
    const { hash, sender, payload } = parseTransaction(bytes);
    const types = payload.messages.map((message) => message.type);
    const { code, log, data, events, outputs } = result;
    return [{ hash: toHex(hash), height, index, timeMs, sender, types, bytes, code, log, data, events, outputs }];
  });
}

/** The ledger's cursor: twelve and five hexadecimal digits. */
function cursorText({ height, index }: Position): string {
  return `${height.toString(16).padStart(12, '0')}.${index.toString(16).padStart(5, '0')}`;
}

type EngineMember =
  | 'head'
  | 'status'
  | 'submit'
  | 'get'
  | 'iterate'
  | 'block'
  | 'content'
  | 'transaction'
  | 'receipt'
  | 'stateProof'
  | 'find'
  | 'anchor'
  | 'copyTo'
  | 'observe'
  | 'measures'
  | 'close';
/** What both engines offer. */
export type Engine = Pick<Ledger, EngineMember> & {
  subscribe(listener: () => void): () => void;
  consensus?(): Promise<ConsensusReport>;
};

/** An engine as the rest of the server sees a ledger. */
export class EngineLedger implements LedgerAccess {
  readonly #ledger: Engine;
  readonly consensus?: () => Promise<ConsensusReport>;

  constructor(ledger: Engine) {
    this.#ledger = ledger;
    const { consensus } = ledger;
    if (consensus !== undefined) this.consensus = () => consensus.call(ledger);
  }

  head(): LedgerHead {
    return this.#ledger.head();
  }

  problem(): string | undefined {
    const { ok, problem } = this.#ledger.status();
    return ok ? undefined : (problem ?? 'the ledger takes no transactions');
  }

  submit(bytes: Uint8Array): ReturnType<LedgerAccess['submit']> {
    return this.#ledger.submit(bytes);
  }

  get(key: string): Uint8Array | undefined {
    return this.#ledger.get(key);
  }

  iterate(prefix: string): Iterable<[string, Uint8Array]> {
    return this.#ledger.iterate(prefix);
  }

  async block(height: number): Promise<CommittedBlock | undefined> {
    const block = await this.#ledger.block(height);
    if (block === undefined) return undefined;
    const hash = toHex(headerHash(block.header));
    return {
      height,
      timeMs: block.timeMs,
      appHash: toHex(block.appHash),
      hash,
      transactions: committedTransactions(block),
    };
  }

  async blockEvents(height: number): Promise<BlockEvents | undefined> {
    const block = await this.#ledger.content(height);
    if (block === undefined) return undefined;
    const transactions = block.transactions.map((bytes, index) => ({
      hash: block.hashes?.[index] ?? toHex(sha256(bytes)),
      events: block.results[index]?.events ?? [],
    }));
    return { height, timeMs: block.timeMs, transactions };
  }

  async transaction(hash: string): Promise<CommittedTransaction | undefined> {
    const found = await this.#ledger.transaction(hash);
    if (found === undefined) return undefined;
    const { sender, payload } = parseTransaction(found.bytes);
    return { ...found, sender, types: payload.messages.map((message) => message.type) };
  }

  receipt(hash: string, options: { stateKey?: string }): Promise<Uint8Array> {
    return this.#ledger.receipt(hash, options);
  }

  stateProof(key: string): Promise<Uint8Array> {
    return this.#ledger.stateProof(key);
  }

  async find({ participant, type, after, limit }: FindInput): Promise<CommittedTransaction[]> {
    const cursor = after === undefined ? undefined : cursorText(after);
    const { items } = await this.#ledger.find({ participant, type, after: cursor, limit });
    const heights = [...new Set(items.map((item: Found) => item.height))];
    const blocks = await Promise.all(heights.map((height) => this.#ledger.content(height)));
    const byHeight = new Map(blocks.map((block) => [block?.height, block ? committedTransactions(block) : []]));
    return items.flatMap(({ height, index }) => byHeight.get(height)?.[index] ?? []);
  }

  async anchor(): Promise<Uint8Array> {
    return utf8(canonicalJson(this.#ledger.anchor() as unknown as JsonValue));
  }

  subscribe(changed: () => void): () => void {
    return this.#ledger.subscribe(() => changed());
  }

  copyTo(dir: string, pinned: (head: LedgerHead) => void): Promise<LedgerHead> {
    return this.#ledger.copyTo(dir, pinned);
  }

  observe(listener: (measurement: LedgerMeasurement) => void): () => void {
    return this.#ledger.observe(listener);
  }

  measures(): LedgerMeasures {
    return this.#ledger.measures();
  }

  close(): Promise<void> {
    return this.#ledger.close();
  }
}

async function openOf(directory: DataDirectory, clock: () => number = Date.now, everyPage = false): Promise<Ledger> {
  if (readHandover(directory.root)) throw new NodeFault(NodeErrorCodes.chainHandedOver);
  const dir = ledgerPath(directory.root);
  const validatorKey = readSeed(directory.root);
  const genesis = genesisOf(directory);
  return await openLedger({ dir, genesis, validatorKey, kernel: createKernel(), clock, everyPage });
}

/** Opens the embedded engine of a data directory; the first time it makes the chain of the genesis document. */
export async function openEmbeddedLedger(directory: DataDirectory, clock?: () => number): Promise<LedgerAccess> {
  const ledger = await openOf(directory, clock);
  const problem = upgradeProblem(ledger.kernel, ledger.view(), ledger.head().height + 1);
  if (!problem) return new EngineLedger(ledger);
  await ledger.close();
  throw problem;
}

interface Examined {
  view(): IterableView;
  doctor(): Promise<Report> | Report;
  replay(): Promise<Report> | Report;
  close(): Promise<void>;
}

/** Where CometBFT orders, headers and votes stand in its own store; the rest is examined in the same way. */
async function openExamined(directory: DataDirectory): Promise<Examined> {
  const isEmbedded = !existsSync(cometPath(directory.root)) && !readHandover(directory.root);
  if (isEmbedded) return await openOf(directory, Date.now, true);
  const dir = ledgerPath(directory.root);
  const options = { dir, genesis: genesisOf(directory), kernel: createKernel(), everyPage: true };
  const application = await DurableApplication.open(options);
  return {
    view: () => application.state.durable,
    doctor: () => application.doctor(),
    replay: () => application.replay(),
    close: () => application.close(),
  };
}

export interface LedgerExamination {
  blocks: number;
  transactions: number;
  problems: string[];
}

/**
 * Examines the ledger of a stopped node; with `replay` every block is executed again from genesis on. `withState` gets to
 * read the state before that.
 */
export async function examineLedger(
  directory: DataDirectory,
  replay: boolean,
  withState: (state: StateReader) => void,
): Promise<LedgerExamination> {
  const ledger = await openExamined(directory);
  try {
    withState(stateReader(ledger.view()));
    const { blocks, transactions, problems } = await ledger.doctor();
    const again = replay ? (await ledger.replay()).problems : [];
    return { blocks, transactions, problems: [...problems, ...again] };
  } finally {
    await ledger.close();
  }
}
