import { type DataDirectory, openDirectory } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { isSandboxChain } from '../node/sandbox.ts';
import { loadKeys } from './keys.ts';
import { membersOf, OrganizationKeys, organizationPaths } from './organization.ts';

export interface OfflineOrganization {
  directory: DataDirectory;
  keys: OrganizationKeys;
  keysDirectory: string;
  sandbox: boolean;
}

/** Reads an organisation's keys beside a running node: files are read, nothing is locked, opened or written. */
export function readOrganization(dataRoot: string, slug: string): OfflineOrganization {
  const directory = openDirectory(dataRoot);
  const profile = membersOf(directory).find((member) => member.slug === slug);
  if (profile === undefined || !directory.manifest.organizations.includes(slug)) {
    throw new NodeFault(NodeErrorCodes.organizationUnknown);
  }
  const keysDirectory = organizationPaths(dataRoot, slug).keys;
  const keys = new OrganizationKeys(profile, loadKeys(keysDirectory));
  return { directory, keys, keysDirectory, sandbox: isSandboxChain(directory.manifest.chain) };
}
