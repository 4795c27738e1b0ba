import { type Client, createClient, createWalletToken } from '@salus/api';
import { consent } from '@salus/contracts';
import {
  type Did,
  deriveContext,
  fromBase64url,
  generateRootSecret,
  type Message,
  type PatientContext,
  type Signer,
  signerFromJwk,
  signTransaction,
  toBase64url,
} from '@salus/protocol';
import { walletError } from './errors.ts';
import { WalletVault } from './wallet-file.ts';
import { emptyState, type Unsent, type WalletContext, type WalletState } from './wallet-state.ts';

const transactionLifeMs = 300_000;

/** What keys a context has is decided by chain and custodian, so that a restored root finds them again. */
function contextId({ chain, custodian, role }: KeyPlace): string {
  return role === undefined ? `${chain} ${custodian.did}` : `${chain} ${custodian.did} ${role}`;
}

type KeyPlace = { chain: string; custodian: { did: Did }; role?: WalletContext['role'] };

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
    // A wallet of an earlier version has no such lists.
    state.unsent ??= [];
    state.delegations ??= [];
    state.authorities ??= [];
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

  /** Where the holder of the wallet acts for patients of a custodian. */
  delegation(custodian: string): WalletContext {
    const found = this.state.delegations.find((context) => context.custodian.slug === custodian);
    if (found === undefined) throw walletError('delegationUnknown', custodian);
    return found;
  }

  /** The context that signed what is on its way. */
  contextOf({ custodian, signer }: Unsent): WalletContext {
    const delegation = this.state.delegations.find(({ did }) => did === signer);
    return delegation ?? this.context(custodian);
  }

  async keys(place: KeyPlace): Promise<PatientContext> {
    return await deriveContext(fromBase64url(this.state.root), contextId(place));
  }

  async signer(context: WalletContext): Promise<Signer> {
    const { signing } = await this.keys(context);
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

  /** Signs with the context's key. */
  async sign(context: WalletContext, messages: Message[]): Promise<{ bytes: Uint8Array; validUntilMs: number }> {
    const { blockTimeMs } = await (await this.client(context)).status();
    const validUntilMs = Math.max(Date.now(), blockTimeMs) + transactionLifeMs;
    const signers = [await this.signer(context)];
    return {
      bytes: await signTransaction({ chain: context.chain, messages, signers, validUntil: validUntilMs }),
      validUntilMs,
    };
  }
}

/** The ledger shows ends in whole steps only; the exact one is sealed (consent contract). */
export function coarseExpiry(untilMs: number): number {
  return Math.ceil(untilMs / consent.expiryStepMs) * consent.expiryStepMs;
}
