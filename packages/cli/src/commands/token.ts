import {
  NodeErrorCodes,
  NodeFault,
  parseSubject,
  readOrganization,
  type Subject,
  staffDid,
  tokenLifeMsDefault,
  tokenLifeMsMax,
} from '@salus/server';
import { type AddCommand, examples, type GlobalOptions, integerOption, usageFault } from '../cli.ts';

interface TokenOptions extends GlobalOptions {
  org: string;
  as: string;
  purpose?: string;
  role?: string[];
  for?: string;
  life?: number;
}

const secondMs = 1_000;
const lifeSecondsMax = tokenLifeMsMax / secondMs;

function subjectOf(text: string): Subject {
  const subject = parseSubject(text);
  if (subject === undefined) throw usageFault('--as must be system, practitioner:ID or patient:ID.');
  return subject;
}

/** Roles that a token for a person has when none are given: who treats most often asks. */
function rolesOf(subject: Subject, roles: readonly string[] | undefined): readonly string[] {
  if (roles !== undefined) return roles;
  return subject.kind === 'practitioner' ? ['doctor'] : [];
}

export const addToken: AddCommand = (program, cli) => {
  program
    .command('token')
    .summary('print a short-lived bearer token')
    .description(
      'Prints a bearer token that an organisation of this data directory signs, for scripts on the same machine. It ' +
        'reads; it never signs or approves anything. Tokens for a practitioner or a patient exist on sandbox chains only.',
    )
    .requiredOption('--org <slug>', 'organisation that vouches')
    .requiredOption('--as <subject>', 'system, practitioner:ID or patient:ID')
    .option('--purpose <code>', 'HL7 PurposeOfUse, as TREAT')
    .option('--role <role...>', 'roles of the person (default for a practitioner: doctor)')
    .option('--for <slug>', 'narrows the token to the endpoints of one organisation')
    .option('--life <seconds>', 'how long it is valid', integerOption('--life', 1, lifeSecondsMax))
    .addHelpText(
      'after',
      examples(
        'salus token --org clinic --as practitioner:dr-lee --purpose TREAT',
        'curl -H "Authorization: Bearer $(npx salus token --org hospital --as system)" http://127.0.0.1:8080/org/hospital/notices',
      ),
    )
    .action(
      cli.action<TokenOptions, []>(async (options) => {
        const { keys, directory, sandbox } = readOrganization(options.data, options.org);
        const given = subjectOf(options.as);
        // Other organisations know a person by a DID, never by the id that they have in their own house.
        const subject: Subject = given.kind === 'practitioner' ? { ...given, id: staffDid(keys.all, given.id) } : given;
        const impersonated = subject.kind !== 'system';
        if (impersonated && !sandbox) throw new NodeFault(NodeErrorCodes.impersonationForbidden);
        const nowMs = Date.now();
        const lifeMs = options.life === undefined ? tokenLifeMsDefault : options.life * secondMs;
        const token = await keys.token({
          chain: directory.manifest.chain,
          subject,
          roles: rolesOf(subject, options.role),
          purpose: options.purpose,
          forSlug: options.for,
          impersonated,
          nowMs,
          lifeMs,
        });
        return { value: { token, expiresMs: nowMs + lifeMs, organization: keys.profile.did }, text: token };
      }),
    );
};
