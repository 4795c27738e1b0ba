import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import type { KeySpec, MemberClass } from '@salus/contracts';
import {
  anchorOfHandover,
  type CborValue,
  type Did,
  type EcPrivateJwk,
  headerHash,
  type JsonValue,
  LightClient,
  MemoryLightStore,
  type Message,
  parseAnchor,
  signerFromJwk,
  signTransaction,
  toHex,
  utf8Text,
} from '@salus/protocol';
import {
  createMember,
  createValidatorKey,
  currentKey,
  finishDirectory,
  inspectDirectory,
  kidOf,
  loadKeys,
  lockDirectory,
  makeDirectory,
  NodeErrorCodes,
  NodeFault,
  organizationPaths,
  readSeed,
  saveProfile,
  validForMsDefault,
  writeFileDurably,
  writeHandover,
} from '@salus/server';
import { RpcSource } from '../commands/verify-light-source.ts';
import { provenValue } from '../wallet/proofs.ts';
import { cometHomeOf, writeCometHome } from './comet-home.ts';
import { type Invitation, readInvitation } from './invitation.ts';
import { type MemberPorts, portsOf } from './network-directory.ts';
import { serversMin, type Trust, takeStateFrom } from './resync.ts';

export type JoinOptions = {
  /** Data directory of the new member: made here, keys and all. */
  data: string;
  invitation: string;
  anchor: string;
  slug: string;
  name: string;
  role: string;
  class: MemberClass;
  basePort: number;
  host: string;
  /** Where others reach its node; plain HTTP at `host` otherwise. */
  endpoint?: string | undefined;
  /** RPC of two members, where it is not where the invitation says. */
  rpc?: readonly string[] | undefined;
};

export type JoinReport = { stage: 'requested' | 'ready'; did: Did; slug: string; request?: string; trust?: Trust };

type Plan = {
  chain: string;
  slug: string;
  name: string;
  role: string;
  class: MemberClass;
  did: Did;
  keys: KeySpec[];
  validator: string;
  endpoint: string;
  ports: MemberPorts;
};

const planFormat = 'salus-join/1';
const requestFormat = 'salus-join-request/1';
const seedBytes = 32;

function planFile(data: string): string {
  return join(data, 'join.json');
}

/** What the ledger says, proven under the anchor by whichever member answers first. */
async function proven(nodes: readonly string[], anchor: string, key: string): Promise<CborValue | undefined> {
  let failure: unknown;
  for (const baseUrl of nodes) {
    try {
      return await provenValue(createClient({ baseUrl }), { anchor }, key);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function readPlan(data: string, chain: string, slug: string): Plan {
  let plan: { format: string } & Plan;
  try {
    plan = JSON.parse(readFileSync(planFile(data), 'utf8')) as { format: string } & Plan;
    if (plan.format !== planFormat) throw new Error(plan.format);
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
  if (plan.chain !== chain) throw new NodeFault(NodeErrorCodes.dataDirectoryChain);
  if (plan.slug !== slug) throw new NodeFault(NodeErrorCodes.dataDirectoryAlien, `It is that of ${plan.slug}.`);
  return plan;
}

/** Keys in a directory beside, which takes its place in one step. */
async function makePlan(options: JoinOptions, chain: string): Promise<Plan> {
  const { data, slug, name, role, class: memberClass, host, basePort } = options;
  const making = `${data}.making-${slug}`;
  rmSync(making, { recursive: true, force: true });
  makeDirectory(making);
  const ports = portsOf(basePort, 0);
  const endpoint = options.endpoint ?? `http://${host}:${ports.http}`;
  const { did, keys } = await createMember(making, { slug, name, role, class: memberClass }, endpoint);
  const validator = createValidatorKey(making);
  const plan: Plan = { chain, slug, name, role, class: memberClass, did, keys, validator, endpoint, ports };
  writeFileDurably(planFile(making), `${JSON.stringify({ format: planFormat, ...plan }, null, 2)}\n`);
  try {
    renameSync(making, data);
  } catch (cause) {
    rmSync(making, { recursive: true, force: true });
    throw new NodeFault(NodeErrorCodes.dataDirectoryAlien, undefined, { cause });
  }
  return plan;
}

/** Signed with the key that it carries; a regulator signs too and sends it, within the minutes that it lives. */
async function writeRequest(data: string, plan: Plan): Promise<string> {
  const { did, name, slug, role, endpoint, keys } = plan;
  const message = {
    type: 'identity/registerOrganisation',
    did,
    name,
    slug,
    role,
    endpoint,
    keys,
  } as unknown as Message;
  const key = currentKey(loadKeys(organizationPaths(data, slug).keys), 'sign');
  const signer = signerFromJwk(kidOf(did, key), key.privateJwk as EcPrivateJwk);
  const validUntil = Date.now() + validForMsDefault;
  const bytes = await signTransaction({ chain: plan.chain, messages: [message], signers: [signer], validUntil });
  const file = join(data, 'request.json');
  const request = { format: requestFormat, class: plan.class, did, slug, transaction: utf8Text(bytes) };
  writeFileDurably(file, `${JSON.stringify(request, null, 2)}\n`);
  return file;
}

/** The latest block that the light client, from the anchor on and with a second member as witness, verifies. */
async function trustOf(invitation: Invitation, rpc: readonly string[], anchorText: string): Promise<Trust> {
  const { handover, genesis } = invitation;
  if (rpc.length < serversMin) {
    throw new NodeFault(NodeErrorCodes.invitationUnfit, 'Two members prove the state to a third: name their RPC.');
  }
  const [primary, ...witnesses] = rpc.map((address) => new RpcSource(`http://${address}`, genesis.chain));
  const anchor = handover ? anchorOfHandover(handover) : parseAnchor(anchorText);
  const nowMs = Date.now();
  const store = new MemoryLightStore();
  const client = await LightClient.open({ anchor, primary: primary as RpcSource, witnesses, store }, nowMs);
  const latest = (await client.update(nowMs)) ?? (await client.trusted());
  if (!latest) throw new NodeFault(NodeErrorCodes.joinWaits, 'The network has no block yet.');
  return { height: latest.header.height, hash: toHex(headerHash(latest.header)).toUpperCase() };
}

/** From here on the directory is a member's, whose ledger comes with its first start. */
function finish(options: JoinOptions, plan: Plan, invitation: Invitation, rpc: readonly string[], trust: Trust): void {
  const { data, host } = options;
  const { genesis, handover, cometGenesis, snapshotEveryBlocks, peers } = invitation;
  const { slug, ports, did, name, role, chain } = plan;
  writeCometHome({
    home: cometHomeOf(data),
    genesis: cometGenesis,
    validatorSeed: readSeed(data),
    nodeSeed: randomBytes(seedBytes),
    moniker: slug,
    ports: { p2p: ports.p2p, rpc: ports.rpc },
    snapshotEveryBlocks,
    host,
    peers,
  });
  takeStateFrom(data, rpc, trust);
  if (handover) writeHandover(data, handover);
  saveProfile(data, { did, slug, name, role });
  finishDirectory(data, { chain, organizations: [slug] }, genesis as unknown as JsonValue);
}

/**
 * One step further into a network: makes keys and a request to be registered; when the members have admitted the
 * organisation, sets its node up to take the state from them. The same command goes on where it was. Throws
 * `invitationUnfit`, `memberTaken`, `joinWaits`, and what the ledger's proofs are refused with.
 */
export async function joinNetwork(options: JoinOptions): Promise<JoinReport> {
  const { data, slug } = options;
  const anchor = readFileSync(options.anchor, 'utf8');
  const invitation = readInvitation(options.invitation, parseAnchor(anchor));
  const { nodes, genesis } = invitation;
  const { chain } = genesis;
  const hasPlan = existsSync(planFile(data));
  if (!hasPlan && inspectDirectory(data) !== 'absent') throw new NodeFault(NodeErrorCodes.dataDirectoryAlien);
  const holder = await proven(nodes, anchor, `identity/slug/${slug}`);
  if (!hasPlan && holder !== undefined) throw new NodeFault(NodeErrorCodes.memberTaken);
  const plan = hasPlan ? readPlan(data, chain, slug) : await makePlan(options, chain);
  if (holder !== undefined && holder !== plan.did) throw new NodeFault(NodeErrorCodes.memberTaken);
  const lock = lockDirectory(data);
  try {
    const { did } = plan;
    if (inspectDirectory(data) === 'node') throw new NodeFault(NodeErrorCodes.memberTaken, 'It is a member already.');
    if (holder === undefined) return { stage: 'requested', did, slug, request: await writeRequest(data, plan) };
    const member = (await proven(nodes, anchor, `governance/member/${did}`)) as { status?: string } | undefined;
    if (member?.status !== 'active') throw new NodeFault(NodeErrorCodes.joinWaits, 'It is registered, not admitted.');
    const rpc = options.rpc ?? invitation.rpc;
    const trust = await trustOf(invitation, rpc, anchor);
    finish(options, plan, invitation, rpc, trust);
    return { stage: 'ready', did, slug, trust };
  } finally {
    lock.release();
  }
}
