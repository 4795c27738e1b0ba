import { createHash, randomBytes } from 'node:crypto';
import { type Did, type Message, signTransaction } from '@salus/protocol';
import { type OfflineOrganization, readOrganization } from '@salus/server';
import type { RealNode } from './real-node.ts';

const validityMs = 300_000;
const tokenRenewMs = 300_000;

export interface Result {
  hash: string;
  height: number;
  index: number;
  code: number;
}

/** What the node answered for, and what must therefore be there whatever happens to it. */
export class Acknowledged {
  readonly transactions = new Map<string, Result>();
  /** Ids of patients whose bundle was taken, and the value that their observation has. */
  readonly imports = new Map<string, string>();
  /** Patients' ids by how often they were read with success. */
  readonly reads = new Map<string, number>();
  /** Answers that no request here may ever get. */
  readonly surprises: string[] = [];
  /** Refusals with their number; what is not expected of them the test says. */
  readonly refusals = new Map<string, number>();

  get readCount(): number {
    return [...this.reads.values()].reduce((sum, count) => sum + count, 0);
  }
}

/** Signs and asks as an organisation of the node's data directory does. */
export class Client {
  readonly chain: string;
  readonly did: Did;
  readonly #organization: OfflineOrganization;
  #tokens = new Map<string, { token: string; untilMs: number }>();

  constructor(dataDir: string, slug = 'hospital') {
    this.#organization = readOrganization(dataDir, slug);
    this.chain = this.#organization.directory.manifest.chain;
    this.did = this.#organization.keys.profile.did;
  }

  sign(messages: Message[]): Promise<Uint8Array> {
    const { keys } = this.#organization;
    const validUntil = Date.now() + validityMs;
    return signTransaction({ chain: this.chain, messages, signers: [keys.signer()], validUntil });
  }

  async token(kind: 'system' | 'practitioner', id = ''): Promise<string> {
    const known = this.#tokens.get(kind + id);
    if (known !== undefined && known.untilMs > Date.now()) return known.token;
    const isSystem = kind === 'system';
    const token = await this.#organization.keys.token({
      chain: this.chain,
      subject: isSystem ? { kind } : { kind, id },
      purpose: 'TREAT',
      roles: isSystem ? [] : ['doctor'],
      impersonated: !isSystem,
      nowMs: Date.now(),
    });
    this.#tokens.set(kind + id, { token, untilMs: Date.now() + tokenRenewMs });
    return token;
  }
}

export function submit(node: RealNode, bytes: Uint8Array): Promise<Response> {
  const headers = { 'content-type': 'application/jose+json' };
  return fetch(`${node.url}/api/transactions?wait=commit`, {
    method: 'POST',
    headers,
    body: bytes as Uint8Array<ArrayBuffer>,
  });
}

export async function registerDoctor(node: RealNode, client: Client): Promise<Did> {
  const did: Did = `did:salus:${randomBytes(20).toString('base64url')}`;
  const message = { type: 'identity/registerPractitioner', did, roles: ['doctor'] };
  const response = await submit(node, await client.sign([message]));
  if (response.status !== 200) throw new Error(`no doctor: ${response.status} ${await response.text()}`);
  return did;
}

function bundleOf(id: string, value: string, paddingBytes: number): string {
  const subject = { reference: `Patient/${id}` };
  const filler = paddingBytes > 0 ? { note: [{ text: randomBytes(paddingBytes / 2).toString('hex') }] } : {};
  const resources = [
    { resourceType: 'Patient', id, name: [{ family: `Crash${id}`, given: ['Ada'] }], birthDate: '1961-04-05' },
    { resourceType: 'Encounter', id: `${id}-e`, status: 'finished', class: { code: 'AMB' }, subject },
    {
      resourceType: 'Observation',
      id: `${id}-o`,
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
      subject,
      encounter: { reference: `Encounter/${id}-e` },
      valueString: value,
      ...filler,
    },
  ];
  const entry = resources.map((resource) => {
    const url = `${resource.resourceType}/${resource.id}`;
    return { fullUrl: `http://example.org/${url}`, resource, request: { method: 'PUT', url } };
  });
  return JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
}

export interface LoadOptions {
  random: () => number;
  lanes?: number;
  /** Content per imported bundle beyond what it needs. */
  paddingBytes?: number;
  /** Share of imports and of reads among everything. */
  importShare?: number;
  readShare?: number;
}

/** Lanes that stamp, import and read one after the other until they are stopped or the node is gone. */
export class Load {
  readonly #node: RealNode;
  readonly #client: Client;
  readonly #doctor: Did;
  readonly #acknowledged: Acknowledged;
  readonly #options: LoadOptions;
  #isStopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(node: RealNode, client: Client, doctor: Did, acknowledged: Acknowledged, options: LoadOptions) {
    this.#node = node;
    this.#client = client;
    this.#doctor = doctor;
    this.#acknowledged = acknowledged;
    this.#options = options;
  }

  start(): this {
    this.#running = Promise.all(Array.from({ length: this.#options.lanes ?? 8 }, () => this.#lane()));
    return this;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #lane(): Promise<void> {
    const { random, importShare = 0.1, readShare = 0.2 } = this.#options;
    while (!this.#isStopped) {
      const choice = random();
      try {
        if (choice < importShare) await this.#import();
        else if (choice < importShare + readShare) await this.#read();
        else await this.#stamp();
      } catch {
        // The node is gone in the middle of an answer: nothing was acknowledged.
        return;
      }
    }
  }

  async #refused(what: string, status: number, text: string): Promise<void> {
    let code = 0;
    try {
      const problem = JSON.parse(text) as { code?: number; issue?: { details: { coding: { code: string }[] } }[] };
      code = problem.code ?? Number(problem.issue?.[0]?.details.coding[0]?.code ?? 0);
    } catch {
      // No problem document: code 0 says so.
    }
    const name = `${what} ${status} ${code}`;
    this.#acknowledged.refusals.set(name, (this.#acknowledged.refusals.get(name) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async #stamp(): Promise<void> {
    const digest = createHash('sha256').update(randomBytes(16)).digest('base64url');
    const bytes = await this.#client.sign([{ type: 'kernel/stamp', digest }]);
    const response = await submit(this.#node, bytes);
    const text = await response.text();
    if (response.status !== 200) return await this.#refused('stamp', response.status, text);
    const { hash, height, index, code } = JSON.parse(text) as Result;
    if (code !== 0 || hash !== createHash('sha256').update(bytes).digest('hex')) {
      this.#acknowledged.surprises.push(`stamp ${hash}: code ${code}`);
    }
    this.#acknowledged.transactions.set(hash, { hash, height, index, code });
  }

  async #import(): Promise<void> {
    const id = `p-${randomBytes(8).toString('hex')}`;
    const value = randomBytes(12).toString('hex');
    const response = await fetch(`${this.#node.url}/org/hospital/fhir/R4`, {
      method: 'POST',
      headers: {
        'content-type': 'application/fhir+json',
        authorization: `Bearer ${await this.#client.token('system')}`,
      },
      body: bundleOf(id, value, this.#options.paddingBytes ?? 0),
    });
    const text = await response.text();
    if (response.status !== 200) return await this.#refused('import', response.status, text);
    const { entry } = JSON.parse(text) as { entry: { response: { status: string } }[] };
    if (!entry.every(({ response: { status } }) => status.startsWith('201'))) {
      this.#acknowledged.surprises.push(`import: ${entry.map(({ response: { status } }) => status).join(' ')}`);
    }
    this.#acknowledged.imports.set(id, value);
  }

  async #read(): Promise<void> {
    const known = [...this.#acknowledged.imports];
    const one = known[Math.floor(this.#options.random() * known.length)];
    if (one === undefined) return await this.#stamp();
    const [id, value] = one;
    const { status, text } = await readObservation(this.#node, this.#client, this.#doctor, id);
    if (status !== 200) return await this.#refused('read', status, text);
    if (!text.includes(value)) this.#acknowledged.surprises.push(`read of ${id}: another value`);
    this.#acknowledged.reads.set(id, (this.#acknowledged.reads.get(id) ?? 0) + 1);
  }
}

export async function readObservation(
  node: RealNode,
  client: Client,
  doctor: Did,
  patient: string,
): Promise<{ status: number; text: string }> {
  const headers = { authorization: `Bearer ${await client.token('practitioner', doctor)}` };
  const response = await fetch(`${node.url}/org/hospital/fhir/R4/Observation/${patient}-o`, { headers });
  return { status: response.status, text: await response.text() };
}

/** What was acknowledged and is not there, or not as it was. */
export async function missing(
  node: RealNode,
  client: Client,
  doctor: Did,
  acknowledged: Acknowledged,
): Promise<string[]> {
  const lost: string[] = [];
  for (const { hash, height, index, code } of acknowledged.transactions.values()) {
    const found = await node.get<Result>(`/api/transactions/${hash}`).catch(() => undefined);
    if (found === undefined) lost.push(`transaction ${hash}`);
    else if (found.height !== height || found.index !== index || found.code !== code) lost.push(`result of ${hash}`);
  }
  for (const [id, value] of acknowledged.imports) {
    const { status, text } = await readObservation(node, client, doctor, id);
    if (status !== 200 || !text.includes(value)) lost.push(`import ${id}: ${status}`);
  }
  return lost;
}
