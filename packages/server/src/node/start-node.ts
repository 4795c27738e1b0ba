import type { AddressInfo } from 'node:net';
import type { Expiring, Status } from '@salus/api';
import { type IterableReader, iterableReader } from '@salus/contracts';
import { type Authenticator, createAuthenticator } from '../auth/authenticator.ts';
import type { KeyDirectory } from '../auth/key-directory.ts';
import { ledgerKeyDirectory } from '../auth/ledger-keys.ts';
import { startControl } from '../control/control-server.ts';
import { BlockFeed } from '../events/block-feed.ts';
import { ExpiryWatch } from '../expiry/expiry-watch.ts';
import { type App, createApp } from '../http/app.ts';
import { EventStreams } from '../http/event-stream.ts';
import { mountEvents } from '../http/handlers/events.ts';
import { mountLedger } from '../http/handlers/ledger.ts';
import { mountOperations, type OperationDependencies } from '../http/handlers/operations.ts';
import { createLog, type LogLevel, type NodeLog } from '../http/log.ts';
import { createMounter, type Mounter } from '../http/mount.ts';
import { measureConsensus } from '../metrics/consensus-metrics.ts';
import { measureLedger } from '../metrics/ledger-metrics.ts';
import { measureNode } from '../metrics/node-metrics.ts';
import { currentKey, keyPurposes, loadKeys } from '../orgs/keys.ts';
import { type MemberProfile, membersOf, type Network, Organization, organizationPaths } from '../orgs/organization.ts';
import { networksFrom, type PeerPolicy } from '../peers/endpoint.ts';
import { type StoreLocation, storeLocation } from '../store/location.ts';
import { type DataDirectory, lockDirectory, openDirectory } from './data-directory.ts';
import { openEmbeddedLedger } from './embedded-ledger.ts';
import { NodeErrorCodes, NodeFault } from './errors.ts';
import { bytesFreeMinDefault, hasRoom } from './free-space.ts';
import type { LedgerAccess } from './ledger-access.ts';
import { type NodePart, nodeParts } from './parts.ts';
import { Refusals } from './refusals.ts';
import { isSandboxChain } from './sandbox.ts';
import { softwareVersion } from './version.ts';

export const portDefault = 8080;
export const hostDefault = '127.0.0.1';

export interface NodeOptions {
  dataDir: string;
  /** 0 takes any free port. */
  port?: number;
  host?: string;
  /** Certificate chain and key (PEM): the node then speaks HTTPS. */
  tls?: { certificate: string; key: string };
  /** Which nodes of other members this one connects to; by default those of its own kind of network, over HTTPS. */
  peers?: Partial<PeerPolicy>;
  /** What orders transactions. `cometbft` needs `openLedger`: CometBFT runs beside the node. */
  engine?: 'embedded' | 'cometbft';
  /** `postgres://…` of the database, for a directory that keeps its rows in PostgreSQL. */
  storeUrl?: string | undefined;
  /** Refuses a directory of another chain. */
  chain?: string;
  logLevel?: LogLevel;
  log?: NodeLog;
  rateLimitPerMinute?: number;
  limitLoopback?: boolean;
  heartbeatMs?: number;
  /** Holds every answer against its published schema: for tests. */
  checkResponses?: boolean;
  /** Local time in milliseconds since 1970; simulations bring their own. */
  clockMs?: () => number;
  /** Opens the ledger of the directory; the embedded engine by default. */
  openLedger?: (directory: DataDirectory, clockMs: () => number) => Promise<LedgerAccess>;
  /** Finds the keys that tokens are verified with; the identity contract's by default. */
  keys?: (ledger: LedgerAccess) => KeyDirectory;
  parts?: readonly NodePart[];
  /** True works on the directory without opening a port. */
  offline?: boolean;
  /** Free bytes on the disk below which the node says that it is not ready. */
  bytesFreeMin?: number;
  /** PEM files of the certificates that TLS before this node uses: it says long before they end. */
  certificates?: readonly string[];
}

/** Everything that a part of a node may use. */
export interface NodeContext {
  readonly chain: string;
  readonly sandbox: boolean;
  readonly dataRoot: string;
  /** Where the stores of this node are. */
  readonly stores: StoreLocation;
  readonly ledger: LedgerAccess;
  /** Decoded reads at the latest block, for the contracts' queries. */
  readonly reader: IterableReader;
  readonly feed: BlockFeed;
  /** The organisations that this node serves, by slug. */
  readonly organizations: ReadonlyMap<string, Organization>;
  /** All members that genesis names. */
  readonly members: readonly MemberProfile[];
  readonly app: App;
  readonly mounter: Mounter;
  /** For routes that are not mounted from a definition, which must authenticate by themselves. */
  readonly authenticator: Authenticator;
  readonly streams: EventStreams;
  readonly refusals: Refusals;
  readonly log: NodeLog;
  readonly peerPolicy: PeerPolicy;
  /** Local time. */
  clockMs(): number;
  /** The later of local clock and block time. */
  nowMs(): number;
}

export interface RunningNode extends NodeContext {
  readonly url: string;
  readonly port: number;
  status(): Status;
  /** Takes no more requests, finishes those under way, and closes everything in order. */
  stop(): Promise<void>;
}

/** What has been opened so far, closed in the opposite order. */
class Closers {
  readonly #closers: (() => unknown)[] = [];

  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Closes all, even when one of them fails; throws the first failure at the end. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

function statusOf(context: NodeContext, engine: string, startedMs: number, expiring: Expiring[]): Status {
  const { height, timeMs, appHash } = context.ledger.head();
  return {
    version: softwareVersion,
    chain: context.chain,
    engine,
    sandbox: context.sandbox,
    height,
    blockTimeMs: timeMs,
    appHash,
    startedMs,
    organizations: context.members.map((member) => ({ ...member, hosted: context.organizations.has(member.slug) })),
    expiring,
    ...(context.ledger.faults && { faults: context.ledger.faults() }),
  };
}

async function listen(app: App, host: string, port: number): Promise<number> {
  try {
    await app.http.listen({ host, port });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'EADDRINUSE') throw new NodeFault(NodeErrorCodes.portBusy, `Port ${port} is in use.`, { cause });
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'ERR_SOCKET_BAD_PORT') {
      throw new NodeFault(NodeErrorCodes.addressUnusable, undefined, { cause });
    }
    throw cause;
  }
  return (app.http.server.address() as AddressInfo).port;
}

async function openOrganizations(
  directory: DataDirectory,
  network: Network,
  location: StoreLocation,
  closers: Closers,
): Promise<Map<string, Organization>> {
  const members = membersOf(directory);
  const { organizations } = directory.manifest;
  const opened = new Map<string, Organization>();
  for (const slug of organizations) {
    const profile = members.find((member) => member.slug === slug);
    if (profile === undefined) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
    const paths = organizationPaths(directory.root, slug);
    const organization = await Organization.open(profile, paths, network, location);
    closers.add(() => organization.close());
    opened.set(slug, organization);
  }
  return opened;
}

/** Before anything is opened for writing: without its keys no organisation can be served. */
function checkKeys(directory: DataDirectory): void {
  for (const slug of directory.manifest.organizations) {
    const keys = loadKeys(organizationPaths(directory.root, slug).keys);
    for (const purpose of keyPurposes) currentKey(keys, purpose);
  }
}

/** The server; a certificate and key that do not fit are the fault of whoever gave them. */
async function createServerApp(options: Parameters<typeof createApp>[0]): Promise<App> {
  try {
    return await createApp(options);
  } catch (cause) {
    const isTls = cause instanceof Error && 'code' in cause && /^ERR_(OSSL|SSL|TLS)/.test(String(cause.code));
    throw isTls ? new NodeFault(NodeErrorCodes.certificateUnfit, undefined, { cause }) : cause;
  }
}

async function openContext(options: NodeOptions, directory: DataDirectory, closers: Closers): Promise<NodeContext> {
  const { chain } = directory.manifest;
  const clockMs = options.clockMs ?? Date.now;
  const log = options.log ?? createLog(options.logLevel ?? 'warn');
  const stores = storeLocation(directory.manifest.store, options.storeUrl);
  const ledger = await (options.openLedger ?? openEmbeddedLedger)(directory, clockMs);
  closers.add(() => ledger.close());
  const members = membersOf(directory);
  const organizations = await openOrganizations(directory, { chain, ledger, clockMs }, stores, closers);
  const feed = new BlockFeed(ledger);
  closers.add(() => feed.close());
  const { rateLimitPerMinute, limitLoopback, checkResponses, tls } = options;
  const limits = { rateLimitPerMinute, limitLoopback };
  const app = await createServerApp({ version: softwareVersion, log, ...limits, checkResponses, tls });
  const nowMs = (): number => Math.max(clockMs(), ledger.head().timeMs);
  const sandbox = isSandboxChain(chain);
  const keys = (options.keys ?? ledgerKeyDirectory)(ledger);
  const authenticator = createAuthenticator({ chain, sandbox, keys, nowMs });
  const mounter = createMounter(app.http, authenticator);
  const streams = new EventStreams(app.metrics, log, options.heartbeatMs);
  const dataRoot = directory.root;
  const reader = iterableReader(ledger);
  return {
    chain,
    sandbox,
    dataRoot,
    stores,
    ledger,
    reader,
    feed,
    organizations,
    members,
    app,
    mounter,
    authenticator,
    streams,
    refusals: new Refusals(),
    log,
    peerPolicy: { networks: networksFrom(options.host ?? hostDefault), plain: false, ...options.peers },
    clockMs,
    nowMs,
  };
}

function addressOf({ tls }: NodeOptions, host: string, port: number): string {
  const scheme = tls === undefined ? 'http' : 'https';
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

type Condition = Pick<OperationDependencies, 'status' | 'isStopping' | 'hasRoom'>;

/** The least that can be asked of each. */
async function askStores(organizations: ReadonlyMap<string, Organization>): Promise<void> {
  const asked = [...organizations.values()].map(({ store }) =>
    store.read.selectFrom('cursors').select('name').limit(1).execute(),
  );
  await Promise.all(asked);
}

function mountCore(context: NodeContext, condition: Condition): void {
  const { app, ledger, feed, streams, organizations, mounter, refusals } = context;
  const asking = { askStores: () => askStores(organizations) };
  mountOperations(mounter, { http: app.http, ledger, metrics: app.metrics, ...condition, ...asking });
  mountLedger(mounter, { ledger, metrics: app.metrics, refusals });
  mountEvents(mounter, {
    feed,
    streams,
    noticeBoard: (slug) => {
      const organization = organizations.get(slug);
      return organization && { did: organization.profile.did, board: organization.notices };
    },
  });
}

function watchExpiry(context: NodeContext, certificates: readonly string[]): ExpiryWatch {
  const { reader, organizations, ledger, log, nowMs, app } = context;
  const served = [...organizations.values()].map(({ profile }) => profile);
  const watch = new ExpiryWatch({ reader, served, certificates, log, nowMs, height: () => ledger.head().height });
  watch.measure(app.metrics);
  return watch;
}

function measure({ app, ledger, chain, dataRoot, organizations }: NodeContext, engine: string, closers: Closers): void {
  const { metrics } = app;
  closers.add(measureLedger(ledger, metrics));
  closers.add(measureConsensus(ledger, metrics));
  measureNode({ version: softwareVersion, engine, chain, dataRoot, organizations }, metrics);
}

async function startParts(parts: readonly NodePart[], context: NodeContext, closers: Closers): Promise<void> {
  for (const part of parts) {
    const stop = await part.start(context);
    if (stop !== undefined) closers.add(stop);
  }
}

/**
 * Starts a node on an existing data directory and answers when it takes requests. Throws a NodeFault that says what to
 * do, and leaves the directory as it was, when the directory or the address cannot be used.
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { engine = 'embedded' } = options;
  const isKnown = engine === 'embedded' || (engine === 'cometbft' && options.openLedger !== undefined);
  if (!isKnown) throw new NodeFault(NodeErrorCodes.engineUnknown);
  const startedMs = Date.now();
  const closers = new Closers();
  let isStopping = false;
  let stopped: Promise<void> | undefined;
  try {
    // The kind of directory is settled before the lock is taken: a lock file must not appear in somebody else's.
    const directory = openDirectory(options.dataDir, options.chain);
    checkKeys(directory);
    const lock = lockDirectory(directory.root);
    closers.add(() => lock.release());
    const context = await openContext(options, directory, closers);
    const watch = watchExpiry(context, options.certificates ?? []);
    closers.add(() => watch.close());
    const status = (): Status => statusOf(context, engine, startedMs, watch.expiring());
    measure(context, engine, closers);
    const { bytesFreeMin = bytesFreeMinDefault } = options;
    const hasRoomHere = (): boolean => hasRoom(context.dataRoot, bytesFreeMin);
    mountCore(context, { status, isStopping: () => isStopping, hasRoom: hasRoomHere });
    await startParts(options.parts ?? nodeParts, context, closers);
    const host = options.host ?? hostDefault;
    const isOffline = options.offline === true;
    const port = isOffline ? 0 : await listen(context.app, host, options.port ?? portDefault);
    closers.add(() => context.app.close());
    closers.add(() => context.streams.closeAll());
    if (!isOffline) closers.add(await startControl(context));
    const url = isOffline ? '' : addressOf(options, host, port);
    context.log.note('listening', { port });
    const stop = (): Promise<void> => {
      isStopping = true;
      stopped ??= closers.close();
      return stopped;
    };
    return { ...context, url, port, status, stop };
  } catch (error) {
    await closers.close().catch(() => undefined);
    throw error;
  }
}
