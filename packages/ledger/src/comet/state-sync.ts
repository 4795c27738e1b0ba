import { create } from '@bufbuild/protobuf';
import type { GenesisDocument } from '@salus/contracts';
import { SalusError } from '@salus/protocol';
import { LedgerErrorCodes } from '../errors.ts';
import type { Files } from '../files.ts';
import { SnapshotRestore } from '../snapshot/restore.ts';
import type { AbciHandler, AbciLog, AbciRequest, AbciResponse } from './connection.ts';
import { cometError } from './errors.ts';
import {
  ResponseApplySnapshotChunk_Result as ApplyResult,
  ResponseOfferSnapshot_Result as OfferResult,
  type RequestApplySnapshotChunk,
  type RequestOfferSnapshot,
  ResponseApplySnapshotChunkSchema,
  ResponseEchoSchema,
  ResponseFlushSchema,
  ResponseInfoSchema,
  ResponseListSnapshotsSchema,
  ResponseOfferSnapshotSchema,
} from './generated/tendermint/abci/types_pb.ts';

export type StateSyncParts = {
  dir: string;
  genesis: GenesisDocument;
  softwareVersion: string;
  files?: Files | undefined;
  log: AbciLog;
  /** The directory is a ledger's now; when this resolves, requests go to its application. */
  onWhole(): Promise<void>;
};

const appVersion = 1n;

/**
 * The application of a member without a ledger yet: takes a snapshot of another member, whose root CometBFT's light
 * client has verified (CometBFT specification, "State Sync").
 */
export class StateSyncApplication {
  readonly #parts: StateSyncParts;
  #restore: SnapshotRestore | undefined;

  constructor(parts: StateSyncParts) {
    this.#parts = parts;
  }

  readonly handle: AbciHandler = (request: AbciRequest): AbciResponse | Promise<AbciResponse> => {
    switch (request.case) {
      case 'echo':
        return { case: 'echo', value: create(ResponseEchoSchema, { message: request.value.message }) };
      case 'flush':
        return { case: 'flush', value: create(ResponseFlushSchema) };
      case 'info': {
        const version = this.#parts.softwareVersion;
        return { case: 'info', value: create(ResponseInfoSchema, { data: 'salus', version, appVersion }) };
      }
      case 'listSnapshots':
        return { case: 'listSnapshots', value: create(ResponseListSnapshotsSchema) };
      case 'offerSnapshot':
        return this.#offer(request.value);
      case 'applySnapshotChunk':
        return this.#apply(request.value);
      default:
        throw cometError('stateSyncOnly', request.case);
    }
  };

  async close(): Promise<void> {
    await this.#restore?.abort();
    this.#restore = undefined;
  }

  async #offer({ snapshot, appHash }: RequestOfferSnapshot): Promise<AbciResponse> {
    const { dir, genesis, files, log } = this.#parts;
    let result: OfferResult = OfferResult.REJECT;
    try {
      if (!snapshot) throw cometError('abciFrameInvalid', 'an offer without a snapshot');
      await this.close();
      const height = Number(snapshot.height);
      const { format, chunks, hash, metadata } = snapshot;
      const trusted = { chain: genesis.chain, height, appHash: appHash.slice() };
      const offered = { height, format, chunks, hash: hash.slice(), metadata: metadata.slice() };
      this.#restore = await SnapshotRestore.begin({ dir, genesis, snapshot: offered, trusted, files });
      log('snapshot-offered', { height, chunks });
      result = OfferResult.ACCEPT;
    } catch (error) {
      log('snapshot-refused', { error: (error as Error).message });
      const isOther = error instanceof SalusError && error.code === LedgerErrorCodes.snapshotOtherFormat;
      if (isOther) result = OfferResult.REJECT_FORMAT;
    }
    return { case: 'offerSnapshot', value: create(ResponseOfferSnapshotSchema, { result }) };
  }

  async #apply({ index, chunk, sender }: RequestApplySnapshotChunk): Promise<AbciResponse> {
    const answer = (init: {
      result: ApplyResult;
      refetchChunks?: number[];
      rejectSenders?: string[];
    }): AbciResponse => ({
      case: 'applySnapshotChunk',
      value: create(ResponseApplySnapshotChunkSchema, init),
    });
    if (!this.#restore) return answer({ result: ApplyResult.ABORT });
    let state: 'more' | 'whole';
    try {
      state = await this.#restore.apply(index, chunk.slice());
    } catch (error) {
      this.#parts.log('snapshot-chunk-refused', { index, error: (error as Error).message });
      const code = error instanceof SalusError ? error.code : 0;
      if (code === LedgerErrorCodes.snapshotChunkDamaged) {
        return answer({ result: ApplyResult.RETRY, refetchChunks: [index], rejectSenders: [sender] });
      }
      const isOrder = code === LedgerErrorCodes.snapshotChunkOutOfOrder;
      return answer({ result: isOrder ? ApplyResult.ABORT : ApplyResult.REJECT_SNAPSHOT });
    }
    if (state === 'whole') {
      this.#restore = undefined;
      await this.#parts.onWhole();
    }
    return answer({ result: ApplyResult.ACCEPT });
  }
}
