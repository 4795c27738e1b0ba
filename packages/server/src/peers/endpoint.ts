import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Where an address leads: this machine, a network of one's own, or the internet. */
export type NetworkKind = 'loopback' | 'private' | 'public';

/** To whom a node connects. An address on the ledger is the word of another member, and decides nothing of this. */
export interface PeerPolicy {
  networks: readonly NetworkKind[];
  /** Plain HTTP, to this machine alone. */
  plain: boolean;
  /** Certificates (PEM) that members' certificates lead to; those of the system where undefined. */
  ca?: string;
}

export interface PeerEndpoint {
  isPlain: boolean;
  host: string;
  port: number;
  /** SHA-256 of the public key of its certificate (SubjectPublicKeyInfo), base64url; then no authority is asked. */
  pin?: string;
}

const httpPort = 80;
const httpsPort = 443;
const pinPattern = /^#sha256-([A-Za-z0-9_-]{43})$/;

type Ranges = Readonly<Record<'ipv4' | 'ipv6', readonly [net: string, prefix: number][]>>;
type Lists = Readonly<Record<'ipv4' | 'ipv6', BlockList>>;

/** One list for each family: a list of both takes an IPv4 address for the IPv6 one that it is mapped to. */
function listsOf(ranges: Ranges): Lists {
  const listOf = (family: 'ipv4' | 'ipv6'): BlockList => {
    const list = new BlockList();
    for (const [net, prefix] of ranges[family]) list.addSubnet(net, prefix, family);
    return list;
  };
  return { ipv4: listOf('ipv4'), ipv6: listOf('ipv6') };
}

const loopback = listsOf({ ipv4: [['127.0.0.0', 8]], ipv6: [['::1', 128]] });
/** RFC 1918, RFC 6598, RFC 4193. */
const ownNetworks = listsOf({
  ipv4: [
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['100.64.0.0', 10],
  ],
  ipv6: [['fc00::', 7]],
});
/** No member's node is there: unspecified, link-local (where clouds keep their secrets), multicast, translated (RFC 6890). */
const nowhere = listsOf({
  ipv4: [
    ['0.0.0.0', 8],
    ['169.254.0.0', 16],
    ['192.0.0.0', 24],
    ['224.0.0.0', 3],
  ],
  ipv6: [
    ['::', 128],
    ['::ffff:0:0', 96],
    ['64:ff9b::', 32],
    ['2002::', 16],
    ['fe80::', 10],
    ['ff00::', 8],
  ],
});

/** Undefined for what is no address, and for one where no member can be. */
export function networkOf(address: string): NetworkKind | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (loopback[family].check(address, family)) return 'loopback';
  if (nowhere[family].check(address, family)) return undefined;
  return ownNetworks[family].check(address, family) ? 'private' : 'public';
}

/** What a node may reach where nobody said: its own kind of network, and the internet beyond one's own network. */
export function networksFrom(host: string): NetworkKind[] {
  const own = networkOf(host === 'localhost' ? '127.0.0.1' : host) ?? 'public';
  return own === 'private' ? ['private', 'public'] : [own];
}

function isReachable(address: string, { networks }: PeerPolicy): boolean {
  const kind = networkOf(address);
  return kind !== undefined && networks.includes(kind);
}

/** A member's address as the ledger has it; undefined for one that this node does not connect to. */
export function parseEndpoint(text: string, policy: PeerPolicy): PeerEndpoint | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text);
  const isPlain = protocol === 'http:';
  if (!isPlain && protocol !== 'https:') return undefined;
  if (`${username}${password}${search}` !== '' || pathname !== '/') return undefined;
  const pin = pinPattern.exec(hash)?.[1];
  if (hash !== '' && (pin === undefined || isPlain)) return undefined;
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  // Names are looked up when the connection is made; an address is judged here.
  if (isIP(host) !== 0 && !isReachable(host, policy)) return undefined;
  if (isPlain && !(policy.plain && networkOf(host) === 'loopback')) return undefined;
  const portNumber = port === '' ? (isPlain ? httpPort : httpsPort) : Number(port);
  return { isPlain, host, port: portNumber, ...(pin !== undefined && { pin }) };
}

/** Looks a name up for the connection itself, and gives only what may be reached: between check and use nothing changes. */
export function guardedLookup(policy: PeerPolicy): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      const allowed = error === null ? found.filter(({ address }) => isReachable(address, policy)) : [];
      const [first] = allowed;
      if (first === undefined) callback(error ?? Object.assign(new Error('not reachable'), { code: 'EACCES' }), []);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}
