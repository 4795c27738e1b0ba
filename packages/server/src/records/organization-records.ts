import type { IterableReader } from '@salus/contracts';
import type { Did, Message } from '@salus/protocol';
import { openVault, type Vault } from '@salus/vault';
import { ContentStore } from '../gate/content-store.ts';
import type { ConsentGate } from '../gate/gate.ts';
import { RuleFault } from '../http/problems.ts';
import type { Organization } from '../orgs/organization.ts';
import { staffDid } from '../orgs/staff.ts';
import { Anchorer } from './anchorer.ts';
import { recordError } from './errors.ts';
import { type ImportOptions, type ImportReport, importFhir } from './import.ts';
import type { Openable } from './import-index.ts';
import { PatientDirectory } from './patient-directory.ts';
import { ResourceStore } from './resource-store.ts';

const demographicsKeyName = 'identity-segment';

export interface RecordsOptions {
  organization: Organization;
  reader: Pick<IterableReader, 'get'>;
  nowMs(): number;
  /** Told what keeps records from being anchored; the anchorer tries again by itself. */
  onError(error: unknown): void;
}

/** What one hosted organisation keeps of its patients: vault, index, pseudonyms, sealed content, and the way onto the ledger. */
export class OrganizationRecords {
  readonly organization: Organization;
  readonly vault: Vault;
  readonly resources: ResourceStore;
  readonly patients: PatientDirectory;
  readonly content: ContentStore;
  readonly anchorer: Anchorer;
  readonly #nowMs: () => number;
  #gate: ConsentGate | undefined;

  constructor(options: RecordsOptions, vault: Vault, resources: ResourceStore, patients: PatientDirectory) {
    const { organization, reader, nowMs, onError } = options;
    this.organization = organization;
    this.vault = vault;
    this.#nowMs = nowMs;
    this.resources = resources;
    this.patients = patients;
    this.content = new ContentStore(organization.store, vault);
    this.anchorer = new Anchorer({
      resources: this.resources,
      patients: this.patients,
      submit: (messages) => submit(organization, messages),
      isAnchored: (record, version) => reader.get(`records/version/${record}/${version}`) !== undefined,
      isRegistered: (did) => reader.get(`identity/participant/${did}`) !== undefined,
      onError,
    });
  }

  /** The only way to what is stored. Set once, by the part that knows the facts of consent. */
  useGate(gate: ConsentGate): void {
    this.#gate = gate;
  }

  get gate(): ConsentGate {
    if (this.#gate === undefined) throw recordError('recordsUnavailable');
    return this.#gate;
  }

  import(open: Openable, options: ImportOptions = {}): Promise<ImportReport> {
    const { resources, patients, anchorer } = this;
    const staff = (name: string): Did => staffDid(this.organization.keys.all, name);
    return importFhir({ resources, patients, anchorer, staffDid: staff, nowMs: this.#nowMs }, open, options);
  }

  /** Ends what runs, then the vault; the store belongs to the organisation. */
  async close(): Promise<void> {
    await this.anchorer.close();
    await this.vault.close();
  }
}

/** A rule's refusal keeps its code; everything else means that the ledger cannot commit now. */
async function submit(organization: Organization, messages: Message[]): Promise<void> {
  try {
    await organization.execute(messages);
  } catch (error) {
    if (error instanceof RuleFault) throw error;
    throw recordError('ledgerUnavailable', undefined, { cause: error });
  }
}

/** Opens the records of an organisation and starts anchoring what a crash left behind. */
export async function openOrganizationRecords(options: RecordsOptions): Promise<OrganizationRecords> {
  const { organization } = options;
  const vault = await openVault({
    dir: organization.paths.vault,
    organisation: organization.profile.did,
    keys: organization.vaultKeys,
  });
  try {
    const resources = new ResourceStore(organization.store, vault);
    const key = vault.ring.purposeKey(demographicsKeyName);
    const patients = await PatientDirectory.open(organization.store, key, resources.tokens);
    const records = new OrganizationRecords(options, vault, resources, patients);
    await records.resources.retryRefused();
    records.anchorer.wake();
    return records;
  } catch (error) {
    await vault.close();
    throw error;
  }
}
