import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKernel, type GenesisDocument, governance, identity, iterableReader } from '@salus/contracts';
import { DurableApplication, draftLedgerHandover } from '@salus/ledger';
import {
  ed25519PublicKey,
  encodeHandover,
  equalBytes,
  fromBase64url,
  type Handover,
  signHandover,
  toBase64url,
  toHex,
  type Validator,
} from '@salus/protocol';
import {
  cometPath,
  type DataDirectory,
  finishDirectory,
  genesisOf,
  type LedgerAccess,
  ledgerPath,
  lockDirectory,
  NodeErrorCodes,
  NodeFault,
  openDirectory,
  openEmbeddedLedger,
  readHandover,
  readOrganization,
  readSeed,
  retireValidatorKey,
  type StoreLocation,
  splitMember,
  storeLocation,
  writeHandover,
} from '@salus/server';
import { memberUrl } from './addresses.ts';
import { type CometPeer, cometGenesisAfter, cometHomeOf, nodeIdOf, writeCometHome } from './comet-home.ts';
import { type ExportMember, type ExportPlan, isExported, type PlanOptions, planOf } from './export-plan.ts';
import { type Network, validatorPower, writeNetwork } from './network-directory.ts';
import { Assembly, type Voter } from './votes.ts';

export type ExportOptions = PlanOptions & {
  /** Data directory of the stopped node whose chain becomes the network's. */
  data: string;
  /** Of the database, for a node that keeps its rows in PostgreSQL. The members begin with files of their own. */
  storeUrl?: string | undefined;
  say?: (text: string) => void;
};

export type Exported = { network: Network; height: number; appHash: string; handover: string };

const seedBytes = 32;
const quietPollMs = 20;

function validatorsOf({ members }: ExportPlan): Validator[] {
  return members.map(({ publicKey }) => ({ publicKey: fromBase64url(publicKey), power: validatorPower }));
}

function votersOf(directory: DataDirectory, plan: ExportPlan): Voter[] {
  return plan.members.map(({ slug, did }) => ({
    slug,
    did,
    signer: readOrganization(directory.root, slug).keys.signer(),
  }));
}

/** What the members of the plan vote on: their keys instead of all that are there. */
function changeOf(ledger: LedgerAccess, { members }: ExportPlan): governance.Change | undefined {
  const present = governance.announcedSet(iterableReader(ledger));
  const isPresent = (publicKey: string): boolean => present.some((one) => one.publicKey === publicKey);
  const wanted = new Set(members.map(({ publicKey }) => publicKey));
  const added = members
    .filter(({ publicKey }) => !isPresent(publicKey))
    .map(({ publicKey, did: member }) => ({ publicKey, member, power: validatorPower }));
  const removed = present.filter(({ publicKey }) => !wanted.has(publicKey)).map((one) => ({ ...one, power: 0 }));
  const changes = [...added, ...removed].map(({ publicKey, member, power }) => ({ publicKey, member, power }));
  return changes.length > 0 ? { kind: 'validators', changes } : undefined;
}

/** Waits for the block that proves the last change: the state that is handed over is the one that its header says. */
async function untilQuiet(ledger: LedgerAccess): Promise<void> {
  for (;;) {
    const { height } = ledger.head();
    if ((await ledger.block(height))?.transactions.length === 0) return;
    await sleep(quietPollMs);
  }
}

/** Members decide who the validators are, so that the state says it too; where each is reached stands there as well. */
async function decide(directory: DataDirectory, plan: ExportPlan): Promise<void> {
  const ledger = await openEmbeddedLedger(directory);
  try {
    const voters = votersOf(directory, plan);
    const assembly = new Assembly(ledger, plan.chain, voters);
    const change = changeOf(ledger, plan);
    if (change) await assembly.decide(change);
    await assembly.passAnnounced();
    for (const [index, member] of plan.members.entries()) {
      const endpoint = memberUrl(plan, member);
      if (identity.organisation(iterableReader(ledger), member.did)?.endpoint === endpoint) continue;
      await assembly.submit([{ type: 'identity/updateOrganisation', endpoint }], voters.slice(index, index + 1));
    }
    await untilQuiet(ledger);
  } finally {
    await ledger.close();
  }
}

function writeHomes(plan: ExportPlan, genesis: GenesisDocument, handover: Handover): void {
  const { host, snapshotEveryBlocks, members } = plan;
  const seeds = members.map(() => randomBytes(seedBytes));
  const peers: CometPeer[] = members.map(({ ports }, index) => ({
    id: nodeIdOf(seeds[index] as Uint8Array),
    host,
    p2p: ports.p2p,
  }));
  const nameOf = (key: Uint8Array): string =>
    members.find(({ publicKey }) => publicKey === toBase64url(key))?.slug ?? '';
  const cometGenesis = cometGenesisAfter(genesis, handover, nameOf);
  for (const [index, { slug, dataDir, ports }] of members.entries()) {
    writeCometHome({
      home: cometHomeOf(dataDir),
      genesis: cometGenesis,
      validatorSeed: readSeed(dataDir),
      nodeSeed: seeds[index] as Uint8Array,
      moniker: slug,
      ports: { p2p: ports.p2p, rpc: ports.rpc },
      snapshotEveryBlocks,
      host,
      peers: peers.filter((_peer, place) => place !== index),
    });
  }
}

/** A copy that does not open with the state that is handed over must not be what the network stands on. */
async function checkCopy({ dataDir }: ExportMember, genesis: GenesisDocument, { next }: Handover): Promise<void> {
  const copy = await DurableApplication.open({ dir: ledgerPath(dataDir), genesis, kernel: createKernel() });
  try {
    const { height, appHash } = copy.info();
    if (height !== next.height - 1 || !equalBytes(appHash, next.appHash)) {
      throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, 'A copy of the ledger has another state.');
    }
  } finally {
    await copy.close();
  }
}

/**
 * Everything that can fail comes first; the signed handover in the source ends the chain there and is the last that is
 * written to it. From then on only names are missing.
 */
async function handOver(
  directory: DataDirectory,
  plan: ExportPlan,
  location: StoreLocation,
  say: (text: string) => void,
): Promise<Handover> {
  const genesis = genesisOf(directory);
  const dir = ledgerPath(directory.root);
  const application = await DurableApplication.open({ dir, genesis, kernel: createKernel() });
  try {
    const draft = await draftLedgerHandover(application, validatorsOf(plan));
    for (const member of plan.members) {
      say(`Copying what ${member.slug} keeps`);
      await splitMember(directory, member.slug, member.dataDir, location, (to) => application.copyTo(to));
      await checkCopy(member, genesis, draft);
    }
    writeHomes(plan, genesis, draft);
    const seed = readSeed(directory.root);
    const signed = signHandover(draft, { seed, publicKey: ed25519PublicKey(seed) });
    writeHandover(directory.root, signed);
    return signed;
  } finally {
    await application.close();
  }
}

function isOfPlan({ next }: Handover, plan: ExportPlan): boolean {
  const keys = (validators: readonly Validator[]): string =>
    validators
      .map(({ publicKey }) => toBase64url(publicKey))
      .sort()
      .join();
  return keys(next.validators) === keys(validatorsOf(plan));
}

function finish(directory: DataDirectory, dir: string, plan: ExportPlan, handover: Handover): Network {
  const { chain, host } = plan;
  const members = plan.members.map(({ slug, dataDir, ports }) => ({ slug, dataDir, ports }));
  const network = { chain, host, members };
  if (isExported(dir)) return network;
  for (const { slug, dataDir } of members) {
    writeHandover(dataDir, handover);
    finishDirectory(dataDir, { chain, organizations: [slug] }, directory.genesis());
  }
  writeNetwork(dir, network);
  return network;
}

/**
 * Makes a network of the embedded chain of a stopped node, with its whole state: every organisation of the node becomes a
 * member with a data directory, a validator and a CometBFT of its own. Whatever interrupts it, the same command goes on
 * with it; until the handover is signed the source goes on as before, afterwards it refuses to make blocks (741).
 */
export async function exportGenesis(options: ExportOptions): Promise<Exported> {
  const directory = openDirectory(options.data);
  if (existsSync(cometPath(directory.root))) {
    throw new NodeFault(NodeErrorCodes.inputInvalid, 'CometBFT orders the blocks of this directory already.');
  }
  const dir = resolve(options.dir);
  const say = options.say ?? (() => undefined);
  const lock = lockDirectory(directory.root);
  try {
    let handover = readHandover(directory.root);
    if (handover && !existsSync(dir)) throw new NodeFault(NodeErrorCodes.chainHandedOver);
    const plan = planOf(directory, { ...options, dir });
    if (handover && !isOfPlan(handover, plan)) throw new NodeFault(NodeErrorCodes.chainHandedOver);
    if (!handover) {
      say('The members vote for the new validators');
      await decide(directory, plan);
      const location = storeLocation(directory.manifest.store, options.storeUrl);
      handover = await handOver(directory, plan, location, say);
    }
    retireValidatorKey(directory.root);
    const network = finish(directory, dir, plan, handover);
    const { height, appHash } = handover.next;
    return {
      network,
      height: height - 1,
      appHash: toHex(appHash),
      handover: Buffer.from(encodeHandover(handover)).toString(),
    };
  } finally {
    lock.release();
  }
}
