import { ApiErrorCodes, routes } from '@salus/api';
import { identity } from '@salus/contracts';
import type { Did, Message } from '@salus/protocol';
import type { Requester } from '../auth/requester.ts';
import { ApiFault } from '../http/problems.ts';
import type { NodeContext } from '../node/start-node.ts';
import type { Organization } from '../orgs/organization.ts';
import { staffDid } from '../orgs/staff.ts';
import { staffDirectory } from '../orgs/staff-directory.ts';
import { recordsOf } from '../records/records-part.ts';

/** Only a system of the organisation itself changes who works there. */
function requireOwnSystem(context: NodeContext, slug: string, requester: Requester): Organization {
  const organization = context.organizations.get(slug);
  if (organization === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
  const isOwn = requester.kind === 'member' && requester.organization.slug === slug;
  if (!isOwn || requester.subject.kind !== 'system') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  return organization;
}

/**
 * Registers a person, or sets the roles of one who is registered; nothing where they are the same. Id and name stay at
 * the organisation, sealed: patients read the name in their accounting.
 */
export async function registerStaff(
  context: Pick<NodeContext, 'reader' | 'organizations'>,
  organization: Organization,
  id: string,
  roles: readonly string[],
  name?: string,
): Promise<{ did: Did; transaction?: string }> {
  const did = staffDid(organization.keys.all, id);
  const records = recordsOf(context).get(organization.profile.slug);
  if (records !== undefined) {
    const staff = await staffDirectory(organization.store, records.vault);
    await staff.put(did, { id, ...(name !== undefined && { name }) });
  }
  const known = identity.practitioner(context.reader, did);
  if (known !== undefined && known.roles.join() === [...roles].join()) return { did };
  const message: Message =
    known === undefined
      ? { type: 'identity/registerPractitioner', did, roles: [...roles] }
      : { type: 'identity/setRoles', practitioner: did, roles: [...roles] };
  const { hash } = await organization.execute([message]);
  return { did, transaction: hash };
}

export function mountStaff(context: NodeContext): void {
  const { mounter } = context;
  mounter.mount(routes.registerPractitioner, async ({ params, body, requester }) => {
    const organization = requireOwnSystem(context, params.slug, requester);
    return await registerStaff(context, organization, body.id, body.roles, body.name);
  });
  mounter.mount(routes.setLicence, async ({ params, body, requester }) => {
    const organization = requireOwnSystem(context, params.slug, requester);
    const { hash } = await organization.execute([{ type: 'identity/setLicence', ...body }]);
    return { did: body.practitioner as Did, transaction: hash };
  });
}
