import type { Did } from '@salus/protocol';
import { listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import { keysOf } from './queries.ts';
import {
  type AuthorityEntry,
  authorityIndexKey,
  authorityPrefix,
  casePrefix,
  getParticipant,
  keysPrefix,
  type Participant,
  slugKey,
} from './state.ts';

const participantPrefix = 'identity/participant/';

function participantProblems(reader: IterableReader, did: Did, participant: Participant): string[] {
  const problems: string[] = [];
  const registrar = getParticipant(reader, participant.registeredBy);
  if (registrar?.kind !== 'organisation') problems.push(`${did} was registered by no organisation`);
  const keys = keysOf(reader, did);
  const canSign = keys.some((key) => key.purpose === 'sign');
  if (participant.kind === 'patient' && participant.bound !== canSign) problems.push(`${did} is bound without a key`);
  if (participant.kind === 'organisation') {
    if (!canSign) problems.push(`${did} never had a signing key`);
    if (reader.get(slugKey(participant.slug)) !== did) problems.push(`${did} does not own its slug`);
  }
  const prints = new Set(keys.map((key) => key.thumbprint));
  if (prints.size !== keys.length) problems.push(`${did} has a key under two names`);
  if (participant.status === 'deceased' && participant.kind !== 'patient') problems.push(`${did} cannot die`);
  return problems;
}

/** Counters match lists; every participant has a registrar; what is bound has keys; one key has one name. */
export function identityInvariants(reader: IterableReader): string[] {
  const problems = [keysPrefix, authorityPrefix, casePrefix].flatMap((prefix) => listProblems(reader, prefix));
  for (const [key, participant] of reader.iterate<Participant>(participantPrefix)) {
    problems.push(...participantProblems(reader, key.slice(participantPrefix.length) as Did, participant));
  }
  for (const [key] of reader.iterate(`${keysPrefix}/`)) {
    const did = key.split('/')[2] as Did;
    if (!getParticipant(reader, did)) problems.push(`${did} has keys but is not registered`);
  }
  for (const [key, entry] of reader.iterate<AuthorityEntry | number>(`${authorityPrefix}/`)) {
    const [, , patient, n] = key.split('/');
    if (typeof entry === 'number') continue;
    const listed = reader.get<number>(authorityIndexKey(patient as Did, entry.authority));
    if (listed !== Number(n)) problems.push(`${key} is not the authority that its index names`);
  }
  return problems;
}
