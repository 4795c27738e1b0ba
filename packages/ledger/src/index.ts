import { Ledger } from './ledger.ts';
import type { OpenOptions } from './open.ts';

/** Opens the ledger of a data directory, or makes one where `genesis` is given and the directory is empty. */
export function openLedger(options: OpenOptions): Promise<Ledger> {
  return Ledger.open(options);
}

export type {
  Application,
  ApplicationInfo,
  BlockPosition,
  FinalizedBlock,
  PreparedProposal,
  QueryAnswer,
} from './application.ts';
export type { Block, BlockContent } from './block-reader.ts';
export { CometLedger, type CometLedgerOptions } from './comet/comet-ledger.ts';
export type { ConsensusReport } from './comet/consensus-report.ts';
export { CometErrorCodes } from './comet/errors.ts';
export { proposalBytesMax } from './comet/limits.ts';
export { CometRpc } from './comet/rpc.ts';
export type { AbciAddress } from './comet/server.ts';
export { type ApplicationOptions, DurableApplication } from './durable-application.ts';
export type { CommittedBlock, Submitted } from './embedded/engine.ts';
export { LedgerErrorCodes } from './errors.ts';
export { type Files, type LedgerFile, nodeFiles } from './files.ts';
export type { FindAnswer, FindQuery, Found, LedgerTransaction } from './find.ts';
export { draftLedgerHandover } from './handover.ts';
export {
  type BlockListener,
  type Head,
  Ledger,
} from './ledger.ts';
export type { ResultJson } from './log/block-codec.ts';
export type { LedgerMeasures } from './measures.ts';
export { type LedgerMeasurement, type LedgerPhase, ledgerPhases } from './meter.ts';
export type { OpenOptions } from './open.ts';
export type { Report } from './replay.ts';
export { canRollBack, rollBack } from './rollback.ts';
export { type Manifest, type Snapshot, type TrustedState, trustedStateOf } from './snapshot/manifest.ts';
export { type RestoreOptions, SnapshotRestore } from './snapshot/restore.ts';
export type { Snapshots } from './snapshot/snapshots.ts';
export { upgradeProblem } from './upgrade.ts';
