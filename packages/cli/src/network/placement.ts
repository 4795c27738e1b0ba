import { endpointLengthMax, nameLengthMax, slugPattern } from '@salus/contracts';
import { usageFault } from '../cli.ts';
import { portMax, portsPerMember } from './limits.ts';

/** Ports that a member takes of those that it has. */
const portsUsed = 3;
const slugForm = new RegExp(slugPattern);
const nameCharsMax = 253;
/** An IPv4 address or a name of DNS; containers' names may have an underscore. IPv6 would need brackets in addresses. */
const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const hostForm = new RegExp(`^${label}(?:\\.${label})*$`);
/** As genesis has it; CometBFT takes no longer one. */
const chainForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$/;

export type Placement = {
  /** Members on this machine's ports. */
  members: number;
  basePort: number;
  host?: string;
  hosts?: readonly string[];
};

/** Refuses, before anything is made, ports that do not exist and hosts that nobody could reach or listen on. */
export function checkPlacement({ members, basePort, host, hosts = [] }: Placement): void {
  const onOneMachine = hosts.length > 0 ? 1 : members;
  const last = basePort + (onOneMachine - 1) * portsPerMember + portsUsed - 1;
  if (last > portMax) throw usageFault(`The last port would be ${last}, above ${portMax}: choose a lower --base-port.`);
  const named = host === undefined ? hosts : [host, ...hosts];
  const unfit = named.find((name) => name.length > nameCharsMax || !hostForm.test(name));
  if (unfit !== undefined) throw usageFault(`"${unfit}" is neither an IPv4 address nor a name of a machine.`);
  const twice = hosts.find((name, place) => hosts.indexOf(name) !== place);
  if (twice !== undefined) throw usageFault(`--hosts names ${twice} twice: members would share its ports.`);
}

export function checkChainName(chain: string): void {
  if (!chainForm.test(chain)) {
    throw usageFault(
      '--chain takes 1 to 50 letters, digits, dots, dashes and underscores, the first a letter or digit.',
    );
  }
}

/**
 * Refuses, before any key is made, what the ledger would refuse when the organisation is registered. The slug names files too:
 * what is none must not lead out of the directory.
 */
export function checkNewcomer({ slug, name, endpoint = '' }: { slug: string; name: string; endpoint?: string }): void {
  if (!slugForm.test(slug)) {
    throw usageFault('--slug takes 1 to 40 small letters, digits and dashes, the first a letter or digit.');
  }
  if (name.trim() === '' || name.length > nameLengthMax) {
    throw usageFault(`--name takes 1 to ${nameLengthMax} characters.`);
  }
  if (endpoint.length > endpointLengthMax)
    throw usageFault(`--endpoint takes at most ${endpointLengthMax} characters.`);
}
