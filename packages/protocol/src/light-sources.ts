import type { LightBlock } from './light.ts';
import { fetchBlock, isBenign, type LightProvider } from './light-provider.ts';
import { proofError } from './proof-errors.ts';

/**
 * The providers of a light client (CometBFT light.Client): the primary gives blocks, the witnesses are asked whether
 * they have the same, and one of them takes the primary's place where it fails.
 */
export class LightSources {
  #primary: LightProvider;
  #witnesses: LightProvider[];

  constructor(chain: string, primary: LightProvider, witnesses: readonly LightProvider[]) {
    if (witnesses.length === 0) throw proofError('lightWitnessesMissing');
    if ([primary, ...witnesses].some((provider) => provider.chain !== chain)) throw proofError('chainOther');
    this.#primary = primary;
    this.#witnesses = [...witnesses];
  }

  get primary(): LightProvider {
    return this.#primary;
  }

  get witnesses(): readonly LightProvider[] {
    return this.#witnesses;
  }

  /** From the primary, or from the witness that then becomes the primary. Throws the last provider's error. */
  async block(height?: number): Promise<LightBlock> {
    try {
      return await fetchBlock(this.#primary, height);
    } catch (error) {
      return await this.replacePrimary(height, !isBenign(error));
    }
  }

  /** `remove`: the old primary does not become a witness. */
  async replacePrimary(height: number | undefined, remove: boolean): Promise<LightBlock> {
    const bad: LightProvider[] = [];
    let failure: unknown = proofError('lightWitnessesMissing');
    for (const witness of this.#witnesses) {
      try {
        const block = await fetchBlock(witness, height);
        if (!remove) this.#witnesses.push(this.#primary);
        this.#primary = witness;
        this.removeWitnesses([...bad, witness]);
        return block;
      } catch (error) {
        if (this.#primary === witness) throw error;
        failure = error;
        if (!isBenign(error)) bad.push(witness);
      }
    }
    // At least one stays, so that the next question can be asked.
    if (bad.length < this.#witnesses.length) this.removeWitnesses(bad);
    throw failure;
  }

  /** Throws `lightWitnessesMissing` and removes none where none would be left. */
  removeWitnesses(bad: readonly LightProvider[]): void {
    if (bad.length >= this.#witnesses.length) throw proofError('lightWitnessesMissing');
    this.#witnesses = this.#witnesses.filter((witness) => !bad.includes(witness));
  }
}
