import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
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
  type DirectoryLock,
  finishDirectory,
  inspectDirectory,
  joinPlanPath,
  kidOf,
  loadKeys,
  lockDirectory,
  makeDirectory,
  NodeErrorCodes,
  NodeFault,
  organizationPaths,
  readSeed,
  saveProfile,
  syncDirectory,
  validForMsDefault,
  writeFileDurably,
  writeHandover,
} from '@salus/server';
import { RpcSource } from '../commands/verify-light-source.ts';
import { provenValue } from '../wallet/proofs.ts';
import { trustCertificate } from './addresses.ts';
import { certifyNewcomer } from './certificates.ts';
import { cometHomeOf, writeCometHome } from './comet-home.ts';
import { type Invitation, nodeSeedOf, readInvitation } from './invitation.ts';
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
  /** Where others reach its node; at `host` otherwise. */
  endpoint?: string | undefined;
  /** HTTPS with a certificate of its own; so where the others speak HTTPS and no `endpoint` says otherwise. */
  tls?: boolean | undefined;
  /** RPC of two members, where it is not where the invitation says. */
  rpc?: readonly string[] | undefined;
};

export type JoinReport = {
  stage: 'requested' | 'ready';
  did: Did;
  slug: string;
  endpoint: string;
  ports: MemberPorts;
  request?: string;
  trust?: Trust;
};

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
  host: string;
  ports: MemberPorts;
};

const planFormat = 'salus-join/1';
const requestFormat = 'salus-join-request/1';
const seedBytes = 32;
/** Listened on, and nowhere to reach a node at. */
const anyHost = '0.0.0.0';

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
    plan = JSON.parse(readFileSync(joinPlanPath(data), 'utf8')) as { format: string } & Plan;
    if (plan.format !== planFormat) throw new Error(plan.format);
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
  if (plan.chain !== chain) throw new NodeFault(NodeErrorCodes.dataDirectoryChain);
  if (plan.slug !== slug) throw new NodeFault(NodeErrorCodes.dataDirectoryAlien, `It is that of ${plan.slug}.`);
  return plan;
}

/** What was said the first time is in keys, request and ledger by now: it is neither changed nor passed over in silence. */
function requireSame(plan: Plan, options: JoinOptions): void {
  const endpoint = withoutPin(plan.endpoint);
  const isCertified = endpoint !== plan.endpoint;
  const pairs: [option: string, before: unknown, now: unknown][] = [
    ['--name', plan.name, options.name],
    ['--role', plan.role, options.role],
    ['--class', plan.class, options.class],
    ['--host', plan.host, options.host],
    ['--base-port', plan.ports.http, options.basePort],
    ['--endpoint', endpoint, withoutPin(options.endpoint ?? endpoint)],
    ['--tls', isCertified, options.tls ?? isCertified],
  ];
  const [other] = pairs.find(([, before, now]) => before !== now) ?? [];
  if (other) throw new NodeFault(NodeErrorCodes.inputInvalid, `It was prepared with another ${other}: see join.json.`);
}

function withoutPin(endpoint: string): string {
  return endpoint.replace(/\/?#.*$/, '');
}

/** Where the node will be reached, and whether it speaks HTTPS with a certificate that is made for it. */
function addressOf(
  options: JoinOptions,
  { nodes }: Invitation,
): { address: string; host: string; isCertified: boolean } {
  const { endpoint, host, basePort } = options;
  const isCertified = options.tls ?? (endpoint === undefined && nodes.some((node) => node.startsWith('https:')));
  const refuse = (what: string): never => {
    throw new NodeFault(NodeErrorCodes.inputInvalid, what);
  };
  if (endpoint === undefined && host === anyHost) refuse('Say with --endpoint where others reach this node.');
  const scheme = isCertified ? 'https' : 'http';
  const address = endpoint ?? `${scheme}://${host}:${portsOf(basePort, 0).http}`;
  if (!URL.canParse(address)) refuse('--endpoint is no address.');
  const { protocol, hash, hostname } = new URL(address);
  if (isCertified && (protocol !== 'https:' || hash !== '')) refuse('--tls takes an --endpoint with https and no pin.');
  return { address, host: hostname.replace(/^\[(.*)\]$/, '$1'), isCertified };
}

/** Everything that is secret, in a directory that nobody else uses. */
async function writePlan(making: string, options: JoinOptions, invitation: Invitation): Promise<void> {
  const { slug, name, role, class: memberClass, host, basePort } = options;
  const { address, host: certified, isCertified } = addressOf(options, invitation);
  const about = { slug, host: certified, authority: invitation.authority };
  const endpoint = isCertified ? `${address}/#sha256-${certifyNewcomer(making, about, Date.now())}` : address;
  const member = { slug, name, role, class: memberClass };
  const { did, keys } = await createMember(making, member, endpoint);
  const validator = createValidatorKey(making);
  const { chain } = invitation.genesis;
  const plan: Plan = { chain, ...member, did, keys, validator, endpoint, host, ports: portsOf(basePort, 0) };
  writeFileDurably(joinPlanPath(making), `${JSON.stringify({ format: planFormat, ...plan }, null, 2)}\n`);
}

/**
 * Keys in a directory beside, which takes its place in one step: what an attempt that was killed left there is known to
 * nobody and goes. Gives the lock, which goes with the directory.
 */
async function prepare(options: JoinOptions, invitation: Invitation): Promise<DirectoryLock> {
  const { data, slug } = options;
  const making = `${data}.making-${slug}`;
  makeDirectory(making);
  const lock = lockDirectory(making);
  try {
    if (existsSync(joinPlanPath(data))) throw new NodeFault(NodeErrorCodes.dataDirectoryLocked);
    for (const name of readdirSync(making)) {
      if (!name.startsWith('lock')) rmSync(join(making, name), { recursive: true });
    }
    await writePlan(making, options, invitation);
    renameSync(making, data);
    // A request that goes out names these keys: they must not be gone after a power cut.
    syncDirectory(resolve(data, '..'));
    return lock;
  } catch (cause) {
    rmSync(making, { recursive: true, force: true });
    lock.release();
    if (cause instanceof NodeFault) throw cause;
    throw new NodeFault(NodeErrorCodes.dataDirectoryAlien, undefined, { cause });
  }
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
function finish(data: string, plan: Plan, invitation: Invitation, rpc: readonly string[], trust: Trust): void {
  const { genesis, handover, cometGenesis, snapshotEveryBlocks, peers } = invitation;
  const { slug, ports, did, name, role, chain, host } = plan;
  writeCometHome({
    home: cometHomeOf(data),
    genesis: cometGenesis,
    validatorSeed: readSeed(data),
    nodeSeed: nodeSeedOf(data) ?? randomBytes(seedBytes),
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

/** Of a directory that was prepared, or is now. */
async function lockPrepared(options: JoinOptions, invitation: Invitation, isFree: boolean): Promise<DirectoryLock> {
  if (existsSync(joinPlanPath(options.data))) return lockDirectory(options.data);
  if (inspectDirectory(options.data) !== 'absent') throw new NodeFault(NodeErrorCodes.dataDirectoryAlien);
  if (!isFree) throw new NodeFault(NodeErrorCodes.memberTaken);
  return prepare(options, invitation);
}

/**
 * One step further into a network: makes keys and a request to be registered; when the members have admitted the
 * organisation, sets its node up to take the state from them. The same command goes on where it was, also after it was
 * killed: what it made once it keeps. Throws `invitationUnfit`, `memberTaken`, `joinWaits`, and what the ledger's proofs are
 * refused with.
 */
export async function joinNetwork(options: JoinOptions): Promise<JoinReport> {
  const { data, slug } = options;
  const anchor = readFileSync(options.anchor, 'utf8');
  const invitation = readInvitation(options.invitation, parseAnchor(anchor));
  const { nodes, genesis, authority } = invitation;
  // What they say is proven under the anchor, whoever answers.
  if (authority !== undefined) trustCertificate(authority);
  const holder = await proven(nodes, anchor, `identity/slug/${slug}`);
  const lock = await lockPrepared(options, invitation, holder === undefined);
  try {
    const plan = readPlan(data, genesis.chain, slug);
    const { did, endpoint, ports } = plan;
    if (holder !== undefined && holder !== did) throw new NodeFault(NodeErrorCodes.memberTaken);
    if (inspectDirectory(data) === 'node') throw new NodeFault(NodeErrorCodes.memberTaken, 'It is a member already.');
    requireSame(plan, options);
    const about = { did, slug, endpoint, ports };
    if (holder === undefined) return { stage: 'requested', ...about, request: await writeRequest(data, plan) };
    const member = (await proven(nodes, anchor, `governance/member/${did}`)) as { status?: string } | undefined;
    if (member?.status !== 'active') throw new NodeFault(NodeErrorCodes.joinWaits, 'It is registered, not admitted.');
    const rpc = options.rpc ?? invitation.rpc;
    const trust = await trustOf(invitation, rpc, anchor);
    finish(data, plan, invitation, rpc, trust);
    return { stage: 'ready', ...about, trust };
  } finally {
    lock.release();
  }
}
