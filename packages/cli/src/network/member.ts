import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ValidatorFault } from '@salus/api';
import { createKernel, type GenesisDocument } from '@salus/contracts';
import { type AbciAddress, CometLedger, LedgerErrorCodes } from '@salus/ledger';
import { ed25519PublicKey, SalusError, toBase64url, toHex } from '@salus/protocol';
import {
  type DataDirectory,
  EngineLedger,
  genesisOf,
  isSigningHeld,
  type LedgerAccess,
  ledgerPath,
  NodeErrorCodes,
  NodeFault,
  readHandover,
  readSeed,
  softwareVersion,
} from '@salus/server';
import { requireComet } from './comet-binary.ts';
import { type CometSettings, cometGenesis, cometHomeOf, readCometSettings, writeCometHome } from './comet-home.ts';
import { DiskWatch } from './disk-watch.ts';
import { socketPathCharsMax } from './limits.ts';
import { MemberFaults } from './member-faults.ts';
import { clearForJoining, endJoining, isJoining } from './resync.ts';
import { SupervisedProcess } from './supervised-process.ts';

const settingsDefault: CometSettings = { ports: { p2p: 26_656, rpc: 26_657 } };
const seedBytes = 32;
const alienText =
  'This directory has no CometBFT of its own: make members with `salus network init`, or start a new directory.';
const restoredText = 'It comes out of a backup and must not vote yet: run `salus network resync` first.';
const diskFullText = 'the disk is full; what was acknowledged is kept, and work goes on when there is room';

/** Told of what goes on between the node and its CometBFT. */
type MemberReport = (event: string, fields: Readonly<Record<string, string | number>>) => void;

/** A path that Unix sockets take: in the data directory where that is short enough. */
function abciAddress(dataDir: string): AbciAddress {
  const path = join(cometHomeOf(dataDir), 'app.sock');
  if (path.length <= socketPathCharsMax) return { path };
  return { path: join(tmpdir(), `salus-${toHex(randomBytes(8))}.sock`) };
}

/** A chain with one validator needs nobody else's files: its CometBFT is set up at the first start. */
function setUpAlone(directory: DataDirectory, genesis: GenesisDocument): CometSettings {
  const validatorSeed = readSeed(directory.root);
  const [validator, ...others] = genesis.validators;
  const isOurs = validator?.publicKey === toBase64url(ed25519PublicKey(validatorSeed));
  // A ledger without a CometBFT beside it was ordered by the embedded engine.
  if (!isOurs || others.length > 0 || existsSync(ledgerPath(directory.root))) {
    throw new NodeFault(NodeErrorCodes.memberUnready, alienText);
  }
  const home = cometHomeOf(directory.root);
  const moniker = directory.manifest.organizations[0] ?? '';
  const host = '127.0.0.1';
  const nodeSeed = randomBytes(seedBytes);
  writeCometHome({
    home,
    genesis: cometGenesis(genesis),
    validatorSeed,
    nodeSeed,
    moniker,
    ...settingsDefault,
    host,
    peers: [],
  });
  return settingsDefault;
}

/** A snapshot that CometBFT has not built on yet is taken again after a crash; its next block ends that. */
function endJoiningOnceCommitted(ledger: CometLedger, dataDir: string): void {
  if (!isJoining(dataDir)) return;
  const stop = ledger.subscribe(() => {
    endJoining(dataDir);
    stop();
  });
}

/** A member's CometBFT: runs from `begin` to `end`, but while the disk is full. */
class Consensus {
  readonly #home: string;
  readonly #binary: string;
  readonly #watch: DiskWatch;
  #proxyApp: string | undefined;
  #process: SupervisedProcess | undefined;
  #isEnding = false;
  /** Starts and stops, one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(home: string, binary: string, report: MemberReport) {
    this.#home = home;
    this.#binary = binary;
    this.#watch = new DiskWatch(home, (isFull) => {
      report(isFull ? 'disk-full' : 'disk-has-room', {});
      this.#settle().catch((error: Error) => report('consensus-not-settled', { error: error.message }));
    });
  }

  get isDiskFull(): boolean {
    return this.#watch.isFull;
  }

  begin(proxyApp: string): Promise<void> {
    this.#proxyApp = proxyApp;
    return this.#settle();
  }

  end(): Promise<void> {
    this.#isEnding = true;
    this.#watch.close();
    return this.#settle();
  }

  #settle(): Promise<void> {
    const work = this.#work.then(async () => {
      const proxyApp = this.#isEnding || this.#watch.isFull ? undefined : this.#proxyApp;
      if ((proxyApp === undefined) === (this.#process === undefined)) return;
      if (proxyApp === undefined) {
        await this.#process?.stop();
        this.#process = undefined;
        return;
      }
      const home = this.#home;
      const args = ['start', '--home', home, '--proxy_app', proxyApp];
      const files = { logFile: join(home, 'comet.log'), pidFile: join(home, 'comet.pid') };
      this.#process = new SupervisedProcess({ command: this.#binary, args, ...files }, home);
      await this.#process.start();
    });
    this.#work = work.catch(() => undefined);
    return work;
  }
}

class MemberLedger extends EngineLedger {
  readonly #consensus: Consensus;

  readonly #faults: MemberFaults;

  constructor(ledger: CometLedger, consensus: Consensus, faults: MemberFaults) {
    super(ledger);
    this.#consensus = consensus;
    this.#faults = faults;
  }

  faults(): ValidatorFault[] {
    return this.#faults.list();
  }

  override problem(): string | undefined {
    return this.#consensus.isDiskFull ? diskFullText : super.problem();
  }

  override submit(bytes: Uint8Array): ReturnType<EngineLedger['submit']> {
    if (this.#consensus.isDiskFull) return Promise.reject(new SalusError(LedgerErrorCodes.diskFull, diskFullText));
    return super.submit(bytes);
  }

  /** CometBFT first: it would end itself with an error where its application leaves. */
  override async close(): Promise<void> {
    await this.#consensus.end();
    await super.close();
  }
}

/**
 * Opens the ledger of a member whose CometBFT runs beside it, and starts that CometBFT. Closing ends both. `tell` is
 * told of what goes on between the two, `onFatal` why no block can be executed any more.
 */
export async function openMemberLedger(
  directory: DataDirectory,
  clock: () => number,
  tell: MemberReport,
  onFatal?: (problem: Error) => void,
): Promise<LedgerAccess> {
  const { binary } = await requireComet();
  const { root } = directory;
  const genesis = genesisOf(directory);
  const settings = readCometSettings(root) ?? setUpAlone(directory, genesis);
  const home = cometHomeOf(root);
  const joins = isJoining(root);
  if (!joins && isSigningHeld(root)) throw new NodeFault(NodeErrorCodes.memberUnready, restoredText);
  if (joins) clearForJoining(root);
  const faults = new MemberFaults();
  const report: MemberReport = (event, fields) => {
    faults.note(event, fields);
    tell(event, fields);
  };
  const consensus = new Consensus(home, binary, report);
  const { ports, snapshotEveryBlocks } = settings;
  const ledger = await CometLedger.open({
    dir: ledgerPath(root),
    genesis,
    handover: readHandover(root),
    kernel: createKernel(),
    abci: abciAddress(root),
    rpcPort: ports.rpc,
    softwareVersion,
    snapshotEveryBlocks,
    isJoining: joins,
    ...(onFatal && { onFatal }),
    onListening: (proxyApp) => consensus.begin(proxyApp),
    log: report,
    clock,
  });
  endJoiningOnceCommitted(ledger, root);
  return new MemberLedger(ledger, consensus, faults);
}
