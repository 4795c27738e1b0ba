import { randomBytes, type Signer, toBase64url, utf8 } from '@salus/protocol';

export const walletTokenType = 'salus-wallet+jwt';
export const walletTokenLifeMsMax = 300_000;

export interface WalletTokenInput {
  /** The patient's key in the context of the custodian that is asked. */
  signer: Signer;
  chain: string;
  method: string;
  /** Path of the request, percent-encoded as it is sent, without query. */
  path: string;
  nowMs: number;
  lifeMs?: number;
}

/**
 * Proves possession of a patient's own key for one method and path (as DPoP does, RFC 9449 §4.2: htm, htu). It opens
 * what the patient may read; it never decides anything: decisions are transactions.
 */
export async function createWalletToken(input: WalletTokenInput): Promise<string> {
  const { signer, chain, method, path, nowMs } = input;
  const lifeMs = Math.min(input.lifeMs ?? walletTokenLifeMsMax, walletTokenLifeMsMax);
  const iat = Math.floor(nowMs / 1000);
  const header = { alg: 'ES256', typ: walletTokenType, kid: signer.kid };
  const claims = {
    aud: chain,
    iat,
    exp: iat + Math.floor(lifeMs / 1000),
    jti: toBase64url(randomBytes(16)),
    htm: method,
    htu: path,
  };
  const signingInput = [header, claims].map((part) => toBase64url(utf8(JSON.stringify(part)))).join('.');
  return `${signingInput}.${toBase64url(await signer.sign(utf8(signingInput)))}`;
}
