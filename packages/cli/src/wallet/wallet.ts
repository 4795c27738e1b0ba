import { type Client, createClient, createWalletToken } from '@salus/api';
import { consent } from '@salus/contracts';
import {
  type CborValue,
  type Did,
  deriveContext,
  type EcPublicJwk,
  fromBase64url,
  generateRecoveryKey,
  generateRootSecret,
  type Message,
  type PatientContext,
  parsePublicJwk,
  type Signer,
  signerFromJwk,
  signTransaction,
  toBase64url,
  utf8Text,
} from '@salus/protocol';
import { walletError } from './errors.ts';
import { provenValue } from './proofs.ts';
import { WalletVault } from './wallet-file.ts';
import { emptyState, type WalletContext, type WalletState } from './wallet-state.ts';

const transactionLifeMs = 300_000;
const signKeyName = 'sign-1';
const sealKeyName = 'seal-1';

/** What keys a context has is decided by chain and custodian, so that a restored root finds them again. */
function contextId(chain: string, custodian: Did): string {
  return `${chain} ${custodian}`;
}

/**
 * A patient's wallet: root secret, one context for each custodian, and what was decided. It signs here and nowhere else;
 * a node gets signatures and sealed content, never a key.
 */
export class Wallet {
  readonly state: WalletState;
  readonly #vault: WalletVault;

  private constructor(vault: WalletVault, state: WalletState) {
    this.#vault = vault;
    this.state = state;
  }

  static create(dir: string, passphrase: string, nowMs = Date.now()): Wallet {
    const state = emptyState(toBase64url(generateRootSecret()), nowMs);
    return new Wallet(WalletVault.create(dir, passphrase, state), state);
  }

  static open(dir: string, passphrase: string): Wallet {
    const { vault, state } = WalletVault.open(dir, passphrase);
    return new Wallet(vault, state);
  }

  save(): void {
    this.#vault.write(this.state);
  }

  /** The context with a custodian, by slug or DID. */
  context(custodian: string): WalletContext {
    const found = this.state.contexts.find(
      (context) => context.custodian.slug === custodian || context.custodian.did === custodian,
    );
    if (found === undefined) throw walletError('contextUnknown', custodian);
    return found;
  }

  async keys(chain: string, custodian: Did): Promise<PatientContext> {
    return await deriveContext(fromBase64url(this.state.root), contextId(chain, custodian));
  }

  async signer(context: WalletContext): Promise<Signer> {
    const { signing } = await this.keys(context.chain, context.custodian.did);
    return signerFromJwk(`${context.did}#${context.keyName}`, signing.privateJwk);
  }

  /** Address of the custodian's node, and a token for each method and path that this wallet signs. */
  async access(context: WalletContext) {
    const signer = await this.signer(context);
    const token = (method: string, path: string): Promise<string> =>
      createWalletToken({ signer, chain: context.chain, method, path, nowMs: Date.now() });
    return { baseUrl: context.url, token };
  }

  async client(context: WalletContext): Promise<Client> {
    return createClient(await this.access(context));
  }

  /** Signs with the context's key and waits until it is durable; throws what the ledger refuses. */
  async execute(context: WalletContext, messages: Message[]): Promise<{ hash: string; height: number }> {
    const client = await this.client(context);
    const { blockTimeMs } = await client.status();
    const bytes = await signTransaction({
      chain: context.chain,
      messages,
      signers: [await this.signer(context)],
      validUntil: Math.max(Date.now(), blockTimeMs) + transactionLifeMs,
    });
    const result = await client.submitTransaction({ body: bytes, query: { wait: 'commit' } });
    return { hash: result.hash, height: 'height' in result ? result.height : 0 };
  }

  /** Links this wallet with a code that the custodian gave: registers keys that only this wallet has. */
  async link(url: string, slug: string, code: string, nowMs = Date.now()): Promise<WalletContext> {
    if (this.state.contexts.some((context) => context.custodian.slug === slug && context.url === url)) {
      throw walletError('contextLinked');
    }
    const open = createClient({ baseUrl: url });
    const offer = await open.openLink({ params: { slug }, body: { code } });
    const anchor = await open.getAnchor({});
    const { did: custodianDid, name, sealingKey: keyName } = offer.custodian;
    const entry = await provenValue(open, { anchor }, `identity/key/${custodianDid}/${keyName}`);
    const custodian = { did: custodianDid as Did, slug, name, sealingKey: sealingKeyOf(entry) };
    const did = offer.patient as Did;
    const { signing, sealing } = await this.keys(offer.chain, custodian.did);
    const recovery = await generateRecoveryKey();
    const message: Message = {
      type: 'identity/bindPatient',
      patient: did,
      keys: [
        { name: signKeyName, purpose: 'sign', suite: 'ES256', jwk: { ...signing.publicJwk } },
        { name: sealKeyName, purpose: 'encrypt', suite: 'HPKE-P256', jwk: { ...sealing.publicJwk } },
      ],
      recoveryCommitment: recovery.commitment,
    };
    const signers = [signerFromJwk(`${did}#${signKeyName}`, signing.privateJwk)];
    const validUntil = nowMs + transactionLifeMs;
    const bytes = await signTransaction({ chain: offer.chain, messages: [message], signers, validUntil });
    await open.confirmLink({ params: { slug }, body: { code, transaction: utf8Text(bytes) } });
    const context: WalletContext = {
      url,
      chain: offer.chain,
      custodian,
      anchor,
      did,
      keyName: signKeyName,
      linkedMs: nowMs,
      recovery: recovery.privateJwk,
    };
    this.state.contexts.push(context);
    this.save();
    return context;
  }
}

/** The custodian's key for sealed payloads, as the ledger has it. */
function sealingKeyOf(entry: CborValue | undefined): EcPublicJwk {
  const isKey = typeof entry === 'object' && entry !== null && 'purpose' in entry && 'jwk' in entry;
  if (!isKey || entry.purpose !== 'encrypt') throw walletError('proofMissing');
  return parsePublicJwk(entry.jwk);
}

/** The ledger shows ends in whole steps only; the exact one is sealed (consent contract). */
export function coarseExpiry(untilMs: number): number {
  return Math.ceil(untilMs / consent.expiryStepMs) * consent.expiryStepMs;
}
