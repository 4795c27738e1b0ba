import { createHash, createPrivateKey, sign } from 'node:crypto';
import { createKernel, type GenesisDocument, genesisFormat, type Kernel } from '@salus/contracts';
import {
  type Did,
  didOfKey,
  type EcPublicJwk,
  ed25519PublicKey,
  keyPairOfScalar,
  type Message,
  type Signer,
  signTransaction,
  toBase64url,
} from '@salus/protocol';

/** A consortium for tests and benchmarks: as many members as keys are wanted, one validator. */
export type Participant = { did: Did; kid: string; jwk: EcPublicJwk; signer: Signer };
export type Network = { genesis: GenesisDocument; validatorKey: Uint8Array; participants: Participant[] };

const genesisTimeMs = 1_700_000_000_000;
const validityMs = 300_000;

/** The same key for the same label, so that several processes can be the same consortium. */
function participant(label: string): Participant {
  const { publicJwk: jwk, privateJwk } = keyPairOfScalar(createHash('sha256').update(label).digest());
  const did = didOfKey(jwk);
  const kid = `${did}#main`;
  const key = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
  const signer: Signer = { kid, sign: (input) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }) };
  return { did, kid, jwk, signer };
}

export function makeNetwork(members: number, chain = 'salus-test'): Network {
  const validatorKey = createHash('sha256').update(`validator of ${chain}`).digest();
  const participants = Array.from({ length: members }, (_, index) => participant(`${chain} ${index}`));
  const genesis = {
    format: genesisFormat,
    chain,
    timeMs: genesisTimeMs,
    validators: [
      { publicKey: toBase64url(ed25519PublicKey(validatorKey)), power: 10, member: participants[0]?.did as Did },
    ],
    members: participants.map(({ did, jwk }, index) => ({
      did,
      name: `Member ${index}`,
      slug: `member-${index}`,
      role: 'hospital',
      class: 'provider',
      keys: [{ name: 'main', purpose: 'sign', suite: 'ES256', jwk }],
      endpoint: '',
    })),
    parameters: {},
    ruleSets: [],
  } as GenesisDocument;
  return { genesis, validatorKey, participants };
}

export function makeKernel(): Kernel {
  return createKernel();
}

export function digestOf(label: string): string {
  return createHash('sha256').update(label).digest('base64url');
}

/** A signed time-stamp of `label`: about 430 bytes. */
export function stampTransaction(
  { genesis }: Network,
  { signer }: Participant,
  label: string,
  options: { nowMs?: number; messages?: Message[] } = {},
): Promise<Uint8Array> {
  return signTransaction({
    chain: genesis.chain,
    messages: options.messages ?? [{ type: 'kernel/stamp', digest: digestOf(label) }],
    signers: [signer],
    validUntil: (options.nowMs ?? Date.now()) + validityMs,
  });
}
