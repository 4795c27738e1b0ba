import { type Message, signTransaction } from '@salus/protocol';
import { chainName } from './consortium.ts';
import { sha256Hex } from './digest.ts';
import { signerOf } from './keys.ts';
import type { MessageJson } from './model/core.ts';
import type { Model, Sent } from './model/model.ts';
import type { KeyRing } from './people.ts';
import type { Random } from './random.ts';
import { CareRequests } from './requests/care.ts';
import { GovernanceRequests } from './requests/governance.ts';
import { IdentityRequests } from './requests/identity.ts';

/** Who signs with which key; a carried key where the participant has none yet. */
export type SignerChoice = { did: string; keyName: string; thumbprint: string };
export type Wish = { messages: MessageJson[]; signers: SignerChoice[] };

const validForMs = 120_000;

/** Everybody who sends transactions: mostly what honest participants would, and every way of doing it wrong. */
export class Clients {
  readonly #random: Random;
  readonly #keys: KeyRing;
  readonly #model: Model;
  readonly #identity: IdentityRequests;
  readonly #care: CareRequests;
  readonly #governance: GovernanceRequests;
  #last: Sent[] = [];

  constructor(model: Model, keys: KeyRing, random: Random) {
    this.#model = model;
    this.#keys = keys;
    this.#random = random;
    this.#identity = new IdentityRequests(model, keys, random);
    this.#care = new CareRequests(model, keys, random);
    this.#governance = new GovernanceRequests(model, keys, random);
  }

  /** The next transaction of the run; `isEarly` while there is nobody yet to write about. */
  async next(nowMs: number, isEarly: boolean): Promise<Sent> {
    const again = this.#last.length > 0 && this.#random.chance(0.03);
    if (again) return this.#random.pick(this.#last);
    const wish = this.#wish(nowMs, isEarly);
    const sent = await this.#sign(wish, nowMs);
    this.#last = [...this.#last.slice(-20), sent];
    return sent;
  }

  #wish(nowMs: number, isEarly: boolean): Wish {
    const wish = this.#kind(nowMs, isEarly);
    const spoilt = this.#random.chance(0.12) ? this.#identity.spoil(wish) : wish;
    // All or none: a second message that may be refused takes the first one with it.
    if (spoilt.messages.length < 3 && this.#random.chance(0.05)) {
      const other = this.#kind(nowMs, isEarly);
      const signers = [...spoilt.signers, ...other.signers].filter(
        ({ did }, index, all) => all.findIndex((one) => one.did === did) === index,
      );
      return { messages: [...spoilt.messages, ...other.messages], signers: signers.slice(0, 6) };
    }
    return spoilt;
  }

  #kind(nowMs: number, isEarly: boolean): Wish {
    if (isEarly) return this.#identity.registration();
    return this.#random.weighted([
      [6, () => this.#identity.any(nowMs)],
      [9, () => this.#care.any(nowMs)],
      [5, () => this.#governance.any(nowMs)],
    ])();
  }

  async #sign({ messages, signers }: Wish, nowMs: number): Promise<Sent> {
    const random = this.#random;
    const [first] = signers;
    const reused = this.#last.find((sent) => sent.signatures[0]?.did === first?.did);
    const id = reused && random.chance(0.02) ? reused.id : random.base64url(16);
    const validMs = random.weighted([
      [30, validForMs],
      [1, 1_500],
      [1, -1],
      [1, 900_000],
    ]);
    const validUntilMs = Math.floor(reused && id === reused.id ? reused.validUntilMs : nowMs + validMs);
    const chain = random.chance(0.01) ? 'another-chain' : chainName;
    const isForged = random.chance(0.02);
    const bytes = await signTransaction({
      chain,
      id,
      validUntil: validUntilMs,
      messages: messages as unknown as Message[],
      signers: signers.map(({ did, keyName, thumbprint }) => {
        const key = this.#keys.byThumbprint(thumbprint);
        if (!key) throw new Error('nobody has this key');
        const signer = signerOf(key, `${did}#${keyName}`);
        return isForged ? { ...signer, sign: (input: Uint8Array) => signer.sign(input.slice(1)) } : signer;
      }),
    });
    return {
      hash: sha256Hex(bytes),
      bytes,
      id,
      chain,
      validUntilMs,
      messages,
      signatures: signers.map((signer) => (isForged ? { ...signer, thumbprint: '' } : signer)),
      malformed: this.#malformed(messages),
    };
  }

  /** Types and members that no schema knows are the only malformed ones that are sent. */
  #malformed(messages: readonly MessageJson[]): number[] {
    return messages.flatMap((message) => {
      if (message.type.endsWith('/unknown')) return [1005];
      if (message.type === 'access/openTelehealth') return [1006];
      return 'unknownMember' in message ? [1007] : [];
    });
  }

  /** Whether the model knows enough people to write about. */
  isSettled(): boolean {
    const { parties } = this.#model.identity;
    return parties.keys().length > 24;
  }
}
