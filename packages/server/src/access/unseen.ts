import { access, consent, type IterableReader, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { authorityName } from '../gate/acting.ts';
import { nameOfContent } from '../gate/content-store.ts';
import type { InboxEvent } from './inbox.ts';

/** `known`: names of the sealed contents that were taken in already. */
function* about(
  reader: IterableReader,
  custodian: Did,
  patient: Did,
  known: ReadonlySet<string>,
): Generator<InboxEvent> {
  const survivor = identity.patient(reader, patient)?.mergedInto;
  if (survivor !== undefined) {
    yield { type: 'identity/PatientsMerged', attributes: { participant: patient, survivor } };
  }
  for (const { authority } of identity.authoritiesOf(reader, patient)) {
    if (known.has(nameOfContent('authority', authorityName(patient, authority)))) continue;
    yield { type: 'identity/AuthorityGranted', attributes: { patient, authority } };
  }
  for (const directive of consent.directivesOf(reader, patient)) {
    if (known.has(nameOfContent('directive', directive))) continue;
    yield { type: 'consent/Granted', attributes: { directive, patient, custodian } };
  }
  for (const [, { kind, id }] of access.accountingEntries(reader, custodian, patient)) {
    if (kind === 'request' && !known.has(nameOfContent('request', id))) {
      yield { type: 'access/Requested', attributes: { request: id, patient, custodian } };
    }
    if (kind === 'breakGlass' && !known.has(nameOfContent('glass', id))) {
      yield { type: 'access/GlassBroken', attributes: { glass: id, patient, custodian } };
    }
  }
}

/**
 * What happened about a custodian's patients as the present state tells it, as far as nothing is known of it here. The
 * state counts each patient's directives, authorities and accounting, so that none is passed over (contracts).
 */
export function unseenEvents(
  reader: IterableReader,
  custodian: Did,
  patients: Iterable<{ did: Did }>,
  known: ReadonlySet<string>,
): InboxEvent[] {
  return [...patients].flatMap(({ did }) => [...about(reader, custodian, did, known)]);
}
