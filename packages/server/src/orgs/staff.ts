import { type Did, didOfBytes, hmacSha256, isDid, utf8 } from '@salus/protocol';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { StoredKey } from './keys.ts';

const didBytes = 20;
const label = 'salus-staff-v1';

/**
 * The DID of somebody who works at an organisation: derived from their id there under a key that only the organisation
 * has, so that an id which means something elsewhere (a licence number, an e-mail name) cannot be guessed from it. The
 * organisation's first signing key serves, because its file stays when keys are rotated.
 */
export function staffDid(keys: readonly StoredKey[], id: string): Did {
  if (isDid(id)) return id;
  const secret = keys.find(({ name }) => name === 'sign-1')?.privateJwk.d;
  if (secret === undefined) throw new NodeFault(NodeErrorCodes.keyFileMissing);
  return didOfBytes(hmacSha256(utf8(secret), utf8(`${label}|${id}`)).subarray(0, didBytes));
}
