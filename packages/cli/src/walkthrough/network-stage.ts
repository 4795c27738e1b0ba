import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@salus/api';
import { isSandboxChain } from '@salus/server';
import { usageFault } from '../cli.ts';
import { authorityFile, memberUrl, trustAuthority } from '../network/addresses.ts';
import { type Network, type NetworkMember, readNetwork } from '../network/network-directory.ts';
import { type Custodian, custodians } from './people.ts';
import { type Stage, walletIn } from './stage.ts';

const needed = ['hospital', 'clinic', 'payer', 'regulator'];
const settleMsMax = 120_000;
const settlePauseMs = 50;

/** A network whose members run already, each with processes, keys and data of its own. It is neither stopped nor cleaned. */
export class NetworkStage implements Stage {
  readonly isOwn = false;
  readonly isNetwork = true;
  readonly environment: Readonly<Record<string, string>>;
  readonly #network: Network;
  readonly #dir: string;
  readonly #root = mkdtempSync(join(tmpdir(), 'salus-walkthrough-'));

  constructor(dir: string) {
    this.#dir = dir;
    this.#network = readNetwork(dir);
    const authority = authorityFile(dir);
    this.environment = existsSync(authority) ? { NODE_EXTRA_CA_CERTS: authority } : {};
  }

  get custodians(): readonly Custodian[] {
    return custodians.filter((slug) => this.#network.members.some((member) => member.slug === slug));
  }

  #member(slug: string): NetworkMember {
    const found = this.#network.members.find((member) => member.slug === slug);
    if (found === undefined) throw usageFault('The network must have a hospital, a clinic, a payer and a regulator.');
    return found;
  }

  dataDirOf(slug: string): string {
    return this.#member(slug).dataDir;
  }

  urlOf(slug: string): string {
    return memberUrl(this.#network, this.#member(slug));
  }

  /** Everybody asks the node of their own organisation; that finds the custodian's on the ledger. */
  fhirBase(asking: string, custodian: string): string {
    return `${this.urlOf(asking)}/org/${asking}/members/${custodian}/fhir/R4`;
  }

  async open(): Promise<string> {
    trustAuthority(this.#dir);
    if (!isSandboxChain(this.#network.chain)) {
      throw usageFault('A walkthrough speaks for other people: it needs a sandbox network.');
    }
    const urls = needed.map((slug) => this.urlOf(slug));
    for (const slug of needed) await this.#reach(slug);
    await this.settle();
    return `${needed.map((slug, index) => `${slug} at ${urls[index]}`).join(', ')}`;
  }

  async #reach(slug: string): Promise<void> {
    try {
      await createClient({ baseUrl: this.urlOf(slug) }).status();
    } catch {
      // What is said elsewhere of a node that does not answer would have a sandbox started.
      throw usageFault(`The node of ${slug} does not answer: run \`salus network start --dir ${this.#dir}\` first.`);
    }
  }

  async settle(): Promise<void> {
    const heightOf = async (slug: string): Promise<number> =>
      (await createClient({ baseUrl: this.urlOf(slug) }).status()).height;
    const height = Math.max(...(await Promise.all(needed.map(heightOf))));
    const until = performance.now() + settleMsMax;
    for (const slug of needed) {
      while ((await heightOf(slug)) < height) {
        if (performance.now() > until) throw usageFault(`The node of ${slug} does not come up to the others.`);
        await sleep(settlePauseMs);
      }
    }
  }

  wallet(name: string): string {
    return walletIn(this.#root, name);
  }

  async withoutNode<T>(work: () => T | Promise<T>): Promise<T> {
    return await work();
  }

  async close(): Promise<void> {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
