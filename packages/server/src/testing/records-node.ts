import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Did } from '@salus/protocol';
import type { Subject } from '../auth/requester.ts';
import { createLog } from '../http/log.ts';
import { createSandbox } from '../node/sandbox.ts';
import { type NodeOptions, type RunningNode, startNode } from '../node/start-node.ts';
import { readOrganization } from '../orgs/offline-keys.ts';
import type { ImportOptions, ImportReport } from '../records/import.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';
import { recordsOf } from '../records/records-part.ts';
import type { StoreLocation } from '../store/location.ts';
import { nodeStores, sandboxStores, temporaryDirectory, testStores } from './test-node.ts';

type Json = { [name: string]: unknown };

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers whose shape they are about to check.
  body: any;
}

export interface CallOptions {
  token?: string | undefined;
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface TokenOptions {
  slug?: string;
  purpose?: string;
  roles?: string[];
}

/** A node as it is in production, with everything that keeps and serves records, for tests. */
export class RecordsNode {
  readonly dataDir: string;
  readonly logLines: string[];
  readonly stores: StoreLocation;
  readonly #remove: () => void;
  node: RunningNode;

  constructor(node: RunningNode, dataDir: string, logLines: string[], stores: StoreLocation, remove: () => void) {
    this.node = node;
    this.dataDir = dataDir;
    this.logLines = logLines;
    this.stores = stores;
    this.#remove = remove;
  }

  records(slug = 'hospital'): OrganizationRecords {
    const records = recordsOf(this.node).get(slug);
    if (records === undefined) throw new Error(`no records of ${slug}`);
    return records;
  }

  token(subject: Subject, { slug = 'hospital', purpose, roles = [] }: TokenOptions = {}): Promise<string> {
    const { keys } = readOrganization(this.dataDir, slug);
    const { chain } = this.node;
    return keys.token({ chain, subject, purpose, roles, impersonated: subject.kind !== 'system', nowMs: Date.now() });
  }

  system(slug?: string): Promise<string> {
    return this.token({ kind: 'system' }, slug === undefined ? {} : { slug });
  }

  /** A practitioner whom the ledger knows, with a token for treatment; a clerk may not read records. */
  async practitioner(role: 'doctor' | 'clerk' = 'doctor'): Promise<{ did: Did; token: string }> {
    const did: Did = `did:salus:${randomBytes(20).toString('base64url')}`;
    await this.records().organization.execute([{ type: 'identity/registerPractitioner', did, roles: [role] }]);
    return { did, token: await this.token({ kind: 'practitioner', id: did }, { purpose: 'TREAT', roles: [role] }) };
  }

  async suspend(practitioner: Did): Promise<void> {
    const message = { type: 'identity/setStatus', participant: practitioner, status: 'suspended' };
    await this.records().organization.execute([message]);
  }

  didOf(patient: string, slug?: string): Did {
    const known = this.records(slug).patients.byId(patient);
    if (known === undefined) throw new Error('no such patient');
    return known.did;
  }

  import(input: Json | Uint8Array | string, options: ImportOptions = {}, slug?: string): Promise<ImportReport> {
    const bytes =
      input instanceof Uint8Array ? input : Buffer.from(typeof input === 'string' ? input : JSON.stringify(input));
    async function* open(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(bytes);
    }
    return this.records(slug).import(open, options);
  }

  /** A call below the FHIR base of an organisation, or to a link that an answer gave. */
  async fhir(
    path: string,
    { token, method = 'GET', body, headers = {} }: CallOptions = {},
    slug = 'hospital',
  ): Promise<Answer> {
    const url = path.startsWith('http') ? path : `${this.node.url}/org/${slug}/fhir/R4${path}`;
    const bytes =
      body === undefined || body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(url, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(bytes !== undefined && { 'content-type': 'application/fhir+json' }),
        ...headers,
      },
      body: bytes as string | undefined,
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }

  /** Stops the process's part and starts again on the same directory. */
  async restart(options: Partial<NodeOptions> = {}): Promise<void> {
    await this.node.stop();
    const log = memoryLog(this.logLines);
    this.node = await startNode({ dataDir: this.dataDir, port: 0, log, ...nodeStores(this.stores), ...options });
  }

  async stop(): Promise<void> {
    await this.node.stop();
    this.#remove();
  }
}

function memoryLog(lines: string[]) {
  return createLog('info', { write: (line) => void lines.push(line) });
}

export async function startRecordsNode(options: Partial<NodeOptions> = {}): Promise<RecordsNode> {
  const temporary = temporaryDirectory();
  const dataDir = join(temporary.path, 'node');
  const stores = testStores();
  await createSandbox(dataDir, sandboxStores(stores));
  const logLines: string[] = [];
  const log = memoryLog(logLines);
  const node = await startNode({ dataDir, port: 0, log, ...nodeStores(stores), ...options });
  return new RecordsNode(node, dataDir, logLines, stores, temporary.remove);
}

/** A Bundle around resources: `PUT` under their ids, or another request per entry. */
export function bundleOf(resources: Json[], type = 'batch', fullUrls: (string | undefined)[] = []): Json {
  return {
    resourceType: 'Bundle',
    type,
    entry: resources.map((resource, position) => {
      const { resourceType, id } = resource;
      const fullUrl = fullUrls[position];
      const request =
        id === undefined ? { method: 'POST', url: resourceType } : { method: 'PUT', url: `${resourceType}/${id}` };
      return { ...(fullUrl !== undefined && { fullUrl }), resource, request };
    }),
  };
}

export function patientOf(id: string, family = 'Quillfeather', more: Json = {}): Json {
  return {
    resourceType: 'Patient',
    id,
    name: [{ family, given: ['Odile'] }],
    birthDate: '1971-03-05',
    identifier: [{ system: 'urn:test:mrn', value: `MRN-${id}` }],
    ...more,
  };
}

export function observationOf(id: string, patient: string, code = '8867-4', more: Json = {}): Json {
  return {
    resourceType: 'Observation',
    id,
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code }] },
    subject: { reference: `Patient/${patient}` },
    effectiveDateTime: '2024-05-06T07:08:09Z',
    ...more,
  };
}
