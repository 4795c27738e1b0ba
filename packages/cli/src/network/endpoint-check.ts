import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createClient } from '@salus/api';
import { pinOf } from '@salus/server';
import { certificateFiles, memberUrl } from './addresses.ts';
import type { Network, NetworkMember } from './network-directory.ts';

const pinForm = /^#sha256-([A-Za-z0-9_-]+)$/;
const loopbackForm = /^(localhost|127(\.\d+){3})$/;
const defaultPorts: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

function ownPin(dataDir: string): string | undefined {
  const { certificate } = certificateFiles(dataDir);
  if (!existsSync(certificate)) return undefined;
  try {
    const { publicKey } = new X509Certificate(readFileSync(certificate));
    return pinOf(publicKey.export({ type: 'spki', format: 'der' }));
  } catch {
    return undefined;
  }
}

/**
 * Where the address that the ledger has for a member leads elsewhere than to its node, or with other keys than it has: then the
 * others do not reach it. What lies behind another port, or on another machine, is a proxy's business and not judged.
 */
export function endpointProblem(
  member: NetworkMember,
  { host }: Pick<Network, 'host'>,
  endpoint: string,
): string | undefined {
  const found = (what: string): string => `${what}: the others do not reach it`;
  if (!URL.canParse(endpoint))
    return found(`the ledger has ${endpoint === '' ? 'no address' : 'no usable address'} for it`);
  const registered = new URL(endpoint);
  const own = new URL(memberUrl({ host }, member));
  const port = registered.port === '' ? (defaultPorts[registered.protocol] ?? '') : registered.port;
  if (port !== own.port) {
    const isHere = loopbackForm.test(registered.hostname) && loopbackForm.test(own.hostname);
    return isHere ? found(`it listens at port ${own.port}, and the ledger says ${registered.origin}`) : undefined;
  }
  if (registered.protocol !== own.protocol) {
    const speaks = own.protocol === 'https:' ? 'HTTPS' : 'plain HTTP, having no certificate';
    return found(`it speaks ${speaks}, and the ledger says ${registered.origin}`);
  }
  const pin = pinForm.exec(registered.hash)?.[1];
  if (pin === undefined || pin === ownPin(member.dataDir)) return undefined;
  return found('its certificate is of another key than the ledger says');
}

type Content = { content?: unknown };

/** The address of an organisation, as the ledger has it at one node; undefined where that does not say. */
export async function registeredEndpoint(url: string, slug: string): Promise<string | undefined> {
  const client = createClient({ baseUrl: url });
  const read = async (key: string): Promise<unknown> => {
    const state: Content = await client.getState({ params: { contract: 'identity', key }, query: {} });
    return state.content;
  };
  try {
    const did = await read(`slug/${slug}`);
    const organisation = (await read(`participant/${String(did)}`)) as { endpoint?: unknown } | undefined;
    return typeof organisation?.endpoint === 'string' ? organisation.endpoint : undefined;
  } catch {
    return undefined;
  }
}
