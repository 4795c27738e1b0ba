import type { Event, ValidatorFault } from '@salus/api';
import type { ConsensusReport, LedgerMeasurement, LedgerMeasures } from '@salus/ledger';

/** What a transaction became, as `submit` answers once it is durable. */
export interface CommittedResult {
  hash: string;
  height: number;
  index: number;
  code: number;
  log: string;
  /** Digest of events and outputs, lower-case hex. */
  data: string;
  events: Event[];
  outputs: unknown[];
}

export interface CommittedTransaction extends CommittedResult {
  timeMs: number;
  sender: string;
  types: string[];
  bytes: Uint8Array;
}

export interface CommittedBlock {
  height: number;
  timeMs: number;
  /** Root of the state after this block, and hash of its header; lower-case hex. */
  appHash: string;
  hash: string;
  transactions: CommittedTransaction[];
}

/** The part of a block that event streams pass on. */
export interface BlockEvents {
  height: number;
  timeMs: number;
  transactions: { hash: string; events: Event[] }[];
}

export interface LedgerHead {
  height: number;
  timeMs: number;
  appHash: string;
}

export interface Position {
  height: number;
  index: number;
}

export interface FindInput {
  participant?: string;
  type?: string;
  after?: Position;
  limit: number;
}

/**
 * What the HTTP interface and the organisations use of a ledger, whichever engine orders it. The rest of the server
 * sees only this.
 */
export interface LedgerAccess {
  head(): LedgerHead;
  /** Answers when the transaction is durable; rejects with a SalusError what never reaches a block. */
  submit(bytes: Uint8Array): Promise<CommittedResult>;
  /** Stored bytes of a state key at the latest block. */
  get(key: string): Uint8Array | undefined;
  iterate(prefix: string): Iterable<[string, Uint8Array]>;
  block(height: number): Promise<CommittedBlock | undefined>;
  blockEvents(height: number): Promise<BlockEvents | undefined>;
  /** Why no transactions are accepted at present; undefined when they are. */
  problem(): string | undefined;
  transaction(hash: string): Promise<CommittedTransaction | undefined>;
  receipt(hash: string, options: { stateKey?: string }): Promise<Uint8Array>;
  stateProof(key: string): Promise<Uint8Array>;
  find(input: FindInput): Promise<CommittedTransaction[]>;
  anchor(): Promise<Uint8Array>;
  /** Calls back after each block is durable; gives what ends it. */
  subscribe(changed: () => void): () => void;
  /**
   * Copies the ledger into a directory while it goes on working, where the engine can: as of the head that `pinned` is
   * told, in the turn of the event loop in which it is told.
   */
  copyTo?(dir: string, pinned: (head: LedgerHead) => void): Promise<LedgerHead>;
  /** Tells durations, counts and result codes as they come; gives what ends it. */
  observe?(listener: (measurement: LedgerMeasurement) => void): () => void;
  measures?(): LedgerMeasures;
  /** Of an engine with several members. */
  consensus?(): Promise<ConsensusReport>;
  faults?(): ValidatorFault[];
  close(): Promise<void>;
}
