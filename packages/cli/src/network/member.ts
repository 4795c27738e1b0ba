import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKernel, type GenesisDocument } from '@salus/contracts';
import { type AbciAddress, CometLedger } from '@salus/ledger';
import { ed25519PublicKey, toBase64url, toHex } from '@salus/protocol';
import {
  type DataDirectory,
  EngineLedger,
  genesisOf,
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
import { socketPathCharsMax } from './limits.ts';
import { clearForJoining, endJoining, isJoining } from './resync.ts';
import { SupervisedProcess } from './supervised-process.ts';

const settingsDefault: CometSettings = { ports: { p2p: 26_656, rpc: 26_657 } };
const seedBytes = 32;

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
    throw new NodeFault(NodeErrorCodes.memberUnready);
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

class MemberLedger extends EngineLedger {
  readonly #comet: SupervisedProcess | undefined;

  constructor(ledger: CometLedger, comet: SupervisedProcess | undefined) {
    super(ledger);
    this.#comet = comet;
  }

  /** CometBFT first: it would end itself with an error where its application leaves. */
  override async close(): Promise<void> {
    await this.#comet?.stop();
    await super.close();
  }
}

/**
 * Opens the ledger of a member whose CometBFT runs beside it, and starts that CometBFT. Closing ends both. `report` is
 * told of what goes on between the two.
 */
export async function openMemberLedger(
  directory: DataDirectory,
  clock: () => number,
  report: (event: string, fields: Readonly<Record<string, string | number>>) => void,
): Promise<LedgerAccess> {
  const { binary } = await requireComet();
  const { root } = directory;
  const genesis = genesisOf(directory);
  const settings = readCometSettings(root) ?? setUpAlone(directory, genesis);
  const home = cometHomeOf(root);
  const joins = isJoining(root);
  if (joins) clearForJoining(root);
  let comet: SupervisedProcess | undefined;
  const startComet = async (proxyApp: string): Promise<void> => {
    comet = new SupervisedProcess(
      {
        command: binary,
        args: ['start', '--home', home, '--proxy_app', proxyApp],
        logFile: join(home, 'comet.log'),
        pidFile: join(home, 'comet.pid'),
      },
      home,
    );
    await comet.start();
  };
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
    onListening: startComet,
    log: report,
    clock,
  });
  endJoiningOnceCommitted(ledger, root);
  return new MemberLedger(ledger, comet);
}
