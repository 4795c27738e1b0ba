import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Did } from '@salus/protocol';
import {
  createValidatorKey,
  type DataDirectory,
  inspectDirectory,
  makeDirectory,
  membersOf,
  NodeErrorCodes,
  NodeFault,
  writeFileDurably,
} from '@salus/server';
import { certifyMember } from './certificates.ts';
import { hasNetwork, type NetworkMember, portsOf } from './network-directory.ts';

export type ExportMember = NetworkMember & { did: Did; publicKey: string };
/** Who the validators will be, and where. Made once: what was voted on names these keys. */
export type ExportPlan = {
  chain: string;
  host: string;
  snapshotEveryBlocks?: number | undefined;
  members: ExportMember[];
};
export type PlanOptions = {
  dir: string;
  basePort: number;
  host: string;
  snapshotEveryBlocks?: number | undefined;
  /** HTTPS, with certificates of an authority of the network's own. */
  tls?: boolean | undefined;
};

const planFormat = 'salus-export/1';

function planFile(dir: string): string {
  return join(dir, 'export.json');
}

function readPlan(dir: string): ExportPlan {
  try {
    const plan = JSON.parse(readFileSync(planFile(dir), 'utf8')) as { format: string } & ExportPlan;
    if (plan.format !== planFormat) throw new Error(plan.format);
    const { chain, host, snapshotEveryBlocks, members } = plan;
    return {
      chain,
      host,
      snapshotEveryBlocks,
      members: members.map((member) => ({ ...member, dataDir: join(dir, member.slug) })),
    };
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.exportTargetTaken, undefined, { cause });
  }
}

/** Keys in a directory of their own first, which becomes the network's in one step. */
function makePlan(directory: DataDirectory, options: PlanOptions): ExportPlan {
  const { dir, basePort, host, snapshotEveryBlocks, tls } = options;
  const { chain, organizations } = directory.manifest;
  const profiles = membersOf(directory);
  const making = `${dir}.making-${chain}`;
  rmSync(making, { recursive: true, force: true });
  makeDirectory(making);
  const members = organizations.map((slug, index) => {
    const did = profiles.find((profile) => profile.slug === slug)?.did;
    if (did === undefined) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
    const dataDir = join(making, slug);
    makeDirectory(dataDir);
    if (tls === true) certifyMember(making, host, { slug, dataDir }, Date.now());
    const publicKey = createValidatorKey(dataDir);
    return { slug, did, publicKey, ports: portsOf(basePort, index) };
  });
  const plan = { format: planFormat, chain, host, snapshotEveryBlocks, members };
  writeFileDurably(planFile(making), `${JSON.stringify(plan, null, 2)}\n`);
  try {
    renameSync(making, dir);
  } catch (cause) {
    rmSync(making, { recursive: true, force: true });
    throw new NodeFault(NodeErrorCodes.exportTargetTaken, undefined, { cause });
  }
  return readPlan(dir);
}

/** The plan of this chain in `dir`, made where there is none. Throws `exportTargetTaken` for anything else that is there. */
export function planOf(directory: DataDirectory, options: PlanOptions): ExportPlan {
  const { dir } = options;
  if (inspectDirectory(dir) === 'absent') return makePlan(directory, options);
  if (!existsSync(planFile(dir))) throw new NodeFault(NodeErrorCodes.exportTargetTaken);
  const plan = readPlan(dir);
  const isSame = plan.members.map(({ slug }) => slug).join() === directory.manifest.organizations.join();
  if (plan.chain !== directory.manifest.chain || !isSame) throw new NodeFault(NodeErrorCodes.exportTargetTaken);
  return plan;
}

/** Whether the network of this plan is whole. */
export function isExported(dir: string): boolean {
  return existsSync(planFile(dir)) && hasNetwork(dir);
}
