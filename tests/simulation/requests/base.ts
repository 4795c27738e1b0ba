import type { SignerChoice, Wish } from '../clients.ts';
import type { SimulatedKey } from '../keys.ts';
import type { MessageJson } from '../model/core.ts';
import type { Party } from '../model/identity.ts';
import type { Model } from '../model/model.ts';
import type { KeyRing } from '../people.ts';
import type { Random } from '../random.ts';

/** What everybody who thinks up requests needs: the present state as the model has it, and keys. */
export class Requests {
  readonly model: Model;
  readonly keys: KeyRing;
  readonly random: Random;

  constructor(model: Model, keys: KeyRing, random: Random) {
    this.model = model;
    this.keys = keys;
    this.random = random;
  }

  parties(kind: Party['kind'], filter: (party: Party) => boolean = () => true): Party[] {
    const all = this.model.identity.parties.entries();
    return all.flatMap(([, party]) => (party.kind === kind && filter(party) ? [party] : []));
  }

  anybody(): string {
    return this.random.pick(this.model.identity.parties.keys());
  }

  organisation(): string {
    return this.random.pick(this.parties('organisation')).did;
  }

  /** Organisations that hold patients: few, so that these meet each other. */
  custodian(): string {
    return this.random.pick(this.parties('organisation').slice(0, 3)).did;
  }

  regulator(): string {
    return this.parties('organisation', ({ role }) => role === 'regulator')[0]!.did;
  }

  party(did: string): Party {
    return this.model.identity.parties.get(did)!;
  }

  /** Mostly a key that may sign; sometimes one that may not. */
  signer(did: string): SignerChoice {
    const rows = this.model.identity
      .keysOf(did)
      .filter(({ purpose, name }) => purpose === 'sign' && name !== 'encrypt');
    const active = rows.filter((row) => this.model.identity.isKeyActive(row, this.model.timeMs));
    const usable = active.length > 0 && !this.random.chance(0.04) ? active : rows;
    if (usable.length === 0) {
      // Nobody can sign for one without keys; somebody tries.
      return { did, keyName: 'sign', thumbprint: this.keys.some(this.random).thumbprint };
    }
    const row = this.random.pick(usable);
    return { did, keyName: row.name, thumbprint: row.thumbprint };
  }

  carried(did: string, key: SimulatedKey, keyName = 'sign'): SignerChoice {
    return { did, keyName, thumbprint: key.thumbprint };
  }

  wish(message: MessageJson, ...signers: (string | SignerChoice)[]): Wish {
    const chosen = signers.map((one) => (typeof one === 'string' ? this.signer(one) : one));
    const isFirst = ({ did }: SignerChoice, index: number): boolean => {
      return chosen.findIndex((one) => one.did === did) === index;
    };
    return { messages: [message], signers: chosen.filter(isFirst) };
  }

  digest(): string {
    return this.random.base64url(32);
  }

  id(): string {
    return this.random.base64url(16);
  }

  /** An id that is in use, mostly, or a new one. */
  idOf(known: readonly string[]): string {
    return known.length > 0 && !this.random.chance(0.05) ? this.random.pick(known) : this.id();
  }
}
