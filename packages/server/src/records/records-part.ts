import { join } from 'node:path';
import { ApiErrorCodes, importBytesMax, routes } from '@salus/api';
import { VaultErrorCodes } from '@salus/vault';
import type { Requester } from '../auth/requester.ts';
import { ApiFault, addErrorTable, RuleFault, setErrorStatus } from '../http/problems.ts';
import type { NodePart } from '../node/parts.ts';
import type { NodeContext } from '../node/start-node.ts';
import { RecordErrorCodes, recordErrorTable } from './errors.ts';
import { clearSpools, spool } from './import-spool.ts';
import { type OrganizationRecords, openOrganizationRecords } from './organization-records.ts';

/** By the organisations of a node, which are one object for its context and for the running node. */
const opened = new WeakMap<NodeContext['organizations'], Map<string, OrganizationRecords>>();

/** The records of every organisation that this node serves, by slug; for the parts that start after `records`. */
export function recordsOf({
  organizations,
}: Pick<NodeContext, 'organizations'>): ReadonlyMap<string, OrganizationRecords> {
  return opened.get(organizations) ?? new Map();
}

function publishErrors(): void {
  addErrorTable(recordErrorTable);
  setErrorStatus(RecordErrorCodes.ledgerUnavailable, 503);
  setErrorStatus(RecordErrorCodes.recordsUnavailable, 503);
  setErrorStatus(RecordErrorCodes.spoolTooLarge, 413);
  setErrorStatus(RecordErrorCodes.createdMeanwhile, 409);
  setErrorStatus(RecordErrorCodes.recordDamaged, 500);
  // What is wrong with the vault is no fault of the caller's; only sealed payloads come from outside.
  for (const [name, code] of Object.entries(VaultErrorCodes)) {
    if (!name.startsWith('sealed')) setErrorStatus(code, name === 'diskFull' ? 503 : 500);
  }
}

/** Only a system of the organisation itself feeds its records. */
function requireOwnSystem(requester: Requester, slug: string): void {
  const isOwn = requester.kind === 'member' && requester.organization.slug === slug;
  if (!isOwn || requester.subject.kind !== 'system') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
}

function spoolDirectory({ organization }: OrganizationRecords): string {
  return join(organization.paths.root, 'spool');
}

function mountImport({ mounter }: NodeContext, records: ReadonlyMap<string, OrganizationRecords>): void {
  mounter.mount(routes.importRecords, async ({ params, query, body, requester }) => {
    const one = records.get(params.slug);
    if (one === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
    requireOwnSystem(requester, params.slug);
    const input = await spool(body, spoolDirectory(one), importBytesMax);
    try {
      return await one.import(input.open, { from: query.from ?? 0 });
    } finally {
      input.remove();
    }
  });
}

/** Opens what each organisation keeps, before any part that reads it. */
export const recordsPart: NodePart = {
  name: 'records',
  async start(context) {
    publishErrors();
    const records = new Map<string, OrganizationRecords>();
    opened.set(context.organizations, records);
    const close = async (): Promise<void> => {
      for (const one of [...records.values()].reverse()) await one.close();
    };
    try {
      for (const [slug, organization] of context.organizations) {
        const { reader, nowMs, log } = context;
        const onError = (error: unknown): void => {
          if (error instanceof RuleFault) log.note('anchoring-refused', { organization: slug, code: error.code });
          else log.fault('', `records of ${slug}`, error);
        };
        const one = await openOrganizationRecords({ organization, reader, nowMs, onError });
        clearSpools(spoolDirectory(one));
        records.set(slug, one);
      }
      mountImport(context, records);
      return close;
    } catch (error) {
      await close();
      throw error;
    }
  },
};
