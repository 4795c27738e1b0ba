import { identity } from '@salus/contracts';
import { parseTransaction, verifySignature } from '@salus/protocol';
import type { NodeContext } from '../node/start-node.ts';
import type { AccessDesk } from './desk.ts';

/**
 * Somebody signs with a key that its patient revoked: whoever stole it still has it. The custodian opens a case, once as
 * long as it is open. Only a signature that verifies counts, or anybody could open cases about anybody.
 */
export async function openCaseOfRevokedKey(
  { reader }: Pick<NodeContext, 'reader'>,
  desks: Iterable<AccessDesk>,
  bytes: Uint8Array,
): Promise<void> {
  const { signatures } = parseTransaction(bytes);
  for (const { did, keyName, signingInput, signature } of signatures) {
    const key = identity.key(reader, did, keyName);
    const custodian = identity.custodianOf(reader, did);
    const desk = [...desks].find((one) => one.did === custodian);
    if (desk === undefined || key?.revokedMs === undefined || key.jwk.crv !== 'P-256') continue;
    if (!(await verifySignature(key.jwk, signingInput, signature))) continue;
    const isOpen = identity
      .cases(reader, desk.did)
      .some((one) => one.kind === 'revokedKeyUsed' && one.closedMs === undefined && one.patients.includes(did));
    if (isOpen) continue;
    await desk.records.organization.execute([{ type: 'identity/openCase', kind: 'revokedKeyUsed', patients: [did] }]);
  }
}
