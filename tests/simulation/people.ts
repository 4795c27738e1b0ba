import type { EcPublicJwk } from '@salus/protocol';
import { type SimulatedKey, simulatedKey } from './keys.ts';
import type { KeyFacts, KeyJson } from './model/identity.ts';
import type { Random } from './random.ts';

const encryptionKeysCount = 24;
const signingKeysCount = 400;
/** Those that wallets and staff may use; handed out in an order that follows from the seed. */
const keyOf = (index: number): SimulatedKey => simulatedKey(`signing ${index}`);

/** All keys of one simulation, and what they say of themselves. */
export class KeyRing implements KeyFacts {
  readonly #byPoint = new Map<string, SimulatedKey>();
  readonly #byThumbprint = new Map<string, SimulatedKey>();
  #next = 0;

  /** A key that nobody has used before. */
  fresh(): SimulatedKey {
    const key = keyOf(this.#next % signingKeysCount);
    this.#next += 1;
    return this.#know(key);
  }

  /** One that somebody may have used. */
  some(random: Random): SimulatedKey {
    return this.#know(keyOf(random.between(0, Math.max(0, this.#next - 1) % signingKeysCount)));
  }

  encryption(random: Random): SimulatedKey {
    return this.#know(simulatedKey(`encryption ${random.between(0, encryptionKeysCount - 1)}`));
  }

  byThumbprint(thumbprint: string): SimulatedKey | undefined {
    return this.#byThumbprint.get(thumbprint);
  }

  thumbprintOf(jwk: Record<string, string>): string {
    return this.#of(jwk).thumbprint;
  }

  didOf(jwk: Record<string, string>): string {
    return this.#of(jwk).did;
  }

  #know(key: SimulatedKey): SimulatedKey {
    this.#byPoint.set(key.jwk.x, key);
    this.#byThumbprint.set(key.thumbprint, key);
    return key;
  }

  #of(jwk: Record<string, string>): SimulatedKey {
    const key = this.#byPoint.get(String(jwk.x));
    if (!key) throw new Error('a key that the simulation did not make');
    return key;
  }
}

export function keyJson(key: SimulatedKey, name = 'sign', purpose = 'sign'): KeyJson {
  const suite = purpose === 'encrypt' ? 'HPKE-P256' : 'ES256';
  return { name, purpose, suite, jwk: key.jwk as EcPublicJwk & Record<string, string> };
}
