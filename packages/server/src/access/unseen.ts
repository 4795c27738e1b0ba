import { access, consent, type IterableReader, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { authorityName } from '../gate/acting.ts';
import type { ContentKind } from '../gate/content-store.ts';
import type { InboxEvent } from './inbox.ts';

/** Which sealed contents were taken in already. */
interface Known {
  get(kind: ContentKind, id: string): unknown;
}

function* about(reader: IterableReader, custodian: Did, patient: Did, known: Known): Generator<InboxEvent> {
  const survivor = identity.patient(reader, patient)?.mergedInto;
  if (survivor !== undefined) {
    yield { type: 'identity/PatientsMerged', attributes: { participant: patient, survivor } };
  }
  for (const { authority } of identity.authoritiesOf(reader, patient)) {
    if (known.get('authority', authorityName(patient, authority)) !== undefined) continue;
    yield { type: 'identity/AuthorityGranted', attributes: { patient, authority } };
  }
  for (const directive of consent.directivesOf(reader, patient)) {
    if (known.get('directive', directive) !== undefined) continue;
    yield { type: 'consent/Granted', attributes: { directive, patient, custodian } };
  }
  for (const [, { kind, id }] of access.accountingEntries(reader, custodian, patient)) {
    if (kind === 'request' && known.get('request', id) === undefined) {
      yield { type: 'access/Requested', attributes: { request: id, patient, custodian } };
    }
    if (kind === 'breakGlass' && known.get('glass', id) === undefined) {
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
  known: Known,
): InboxEvent[] {
  return [...patients].flatMap(({ did }) => [...about(reader, custodian, did, known)]);
}
