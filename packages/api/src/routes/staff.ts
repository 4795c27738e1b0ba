import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Hash, Slug } from '../schemas.ts';

const bySlug = Type.Object({ slug: Slug });
const Role = Type.String({ pattern: '^[A-Za-z]{2,32}$', description: 'role code, as doctor, nurse, clerk, officer' });
const StaffId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9.:_~-]{0,127}$' });
const Name = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f]{1,120}$',
  description: 'as patients read it in their accounting; for staff under protection an alias. Never on the ledger',
});
const committed = Type.Object({ did: Did, transaction: Type.Optional(Hash) });

export const staffRoutes = {
  registerPractitioner: route({
    id: 'registerPractitioner',
    method: 'POST',
    path: '/org/{slug}/practitioners',
    summary: 'Register somebody who works here on the ledger, with their roles',
    description: 'The ledger shows a DID and role codes, never the id or a name. Repeating it sets the roles.',
    tags: ['staff'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      { id: StaffId, roles: Type.Array(Role, { minItems: 1, maxItems: 8 }), name: Type.Optional(Name) },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'registered', schema: committed } },
  }),
  setLicence: route({
    id: 'setLicence',
    method: 'POST',
    path: '/org/{slug}/licences',
    summary: 'A regulator licenses a practitioner, or suspends the licence',
    tags: ['staff'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      {
        practitioner: Did,
        profession: Role,
        status: Type.Union([Type.Literal('active'), Type.Literal('suspended')]),
        untilMs: Type.Integer({ minimum: 0, description: 'milliseconds since 1970' }),
      },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'on the ledger', schema: committed } },
  }),
};
