import type { Message } from '@salus/protocol';
import { RuleFault } from '../http/problems.ts';
import { RecordErrorCodes } from './errors.ts';
import type { KnownPatient, PatientDirectory } from './patient-directory.ts';
import type { ResourceMeta, ResourceStore } from './resource-store.ts';

/** Record versions in one `records/anchor` message, and registrations in one transaction. */
export const anchorsPerTransactionMax = 200;
export const registrationsPerTransactionMax = 32;
/** Waiting before it tries again, at first and at the most. */
export const anchorRetryMs = 1_000;
export const anchorRetryMsMax = 60_000;
/** More refusals than this in one go are no poisoned entries: something is wrong with all of them, and waiting helps. */
const refusalsMax = 16;

export interface AnchorerParts {
  resources: ResourceStore;
  patients: PatientDirectory;
  /** Signs and submits as the organisation; resolves when durable. Throws a RuleFault when a rule refuses. */
  submit(messages: Message[]): Promise<unknown>;
  /** Whether a record version, or a patient, stands on the ledger already (after a crash between commit and note). */
  isAnchored(record: string, version: number): boolean;
  isRegistered(did: string): boolean;
  /** Told what went wrong; the code where a rule refused. */
  onError(error: unknown): void;
}

interface Waiting {
  seq: number;
  meta: ResourceMeta;
}

/**
 * Brings what is stored onto the ledger: pseudonyms of new patients first, then commitments of record versions in
 * batches. It works from what the database says is missing, so that a crash or an outage of the ledger only delays it.
 * What a rule refuses is set aside alone and does not hold up the rest.
 */
export class Anchorer {
  readonly #parts: AnchorerParts;
  #running: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #failure: unknown;
  #retryMs = anchorRetryMs;
  #refusals = 0;
  readonly #unregistrable = new Set<string>();

  constructor(parts: AnchorerParts) {
    this.#parts = parts;
  }

  /** Starts working, unless it is at it. */
  wake(): void {
    this.#again = true;
    if (this.#running !== undefined || this.#closed) return;
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      if (this.#again && this.#failure === undefined) this.wake();
    });
  }

  async #work(): Promise<void> {
    this.#failure = undefined;
    this.#refusals = 0;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#registerPatients();
        while (!this.#closed && (await this.#anchorBatch()));
      }
      this.#retryMs = anchorRetryMs;
    } catch (error) {
      this.#failure = error;
      if (this.#closed) return;
      this.#parts.onError(error);
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.wake(), this.#retryMs);
      this.#retry.unref();
      this.#retryMs = Math.min(this.#retryMs * 2, anchorRetryMsMax);
    }
  }

  async #registerPatients(): Promise<void> {
    const waiting = this.#parts.patients.unregistered().filter(({ did }) => !this.#unregistrable.has(did));
    for (let from = 0; from < waiting.length; from += registrationsPerTransactionMax) {
      await this.#register(waiting.slice(from, from + registrationsPerTransactionMax));
    }
  }

  async #register(part: readonly KnownPatient[]): Promise<void> {
    const { patients, isRegistered, submit } = this.#parts;
    const missing = part.filter(({ did }) => !isRegistered(did));
    const messages = missing.map(({ did }) => ({ type: 'identity/registerPatient', did }));
    const done = await this.#halving(missing, messages.length, () => submit(messages), {
      again: (half) => this.#register(half),
      refuse: ({ did }) => void this.#unregistrable.add(did),
    });
    const known = done ? part : part.filter(({ did }) => isRegistered(did));
    await patients.registered(known.map(({ did }) => did));
  }

  /** False when nothing is left. Patients who came while others were registered wait for the next round. */
  async #anchorBatch(): Promise<boolean> {
    const { resources, patients } = this.#parts;
    const waiting = await resources.unanchored(anchorsPerTransactionMax);
    if (waiting.length === 0) return false;
    const patientOf = ({ meta }: Waiting): KnownPatient | undefined => patients.byId(meta.patient ?? '');
    for (const one of waiting) {
      if (!this.#unregistrable.has(patientOf(one)?.did ?? '')) continue;
      await resources.refused(one.seq, RecordErrorCodes.registrationRefused);
    }
    const ready = waiting.filter((one) => patientOf(one)?.registered === true);
    if (ready.length > 0) await this.#anchor(distinct(ready));
    if (patients.hasUnregistered()) await this.#registerPatients();
    return true;
  }

  async #anchor(batch: readonly Waiting[]): Promise<void> {
    const { resources, isAnchored, submit } = this.#parts;
    const missing = batch.filter(({ meta }) => !isAnchored(meta.record, meta.version));
    const entries = missing.map(({ meta }) => this.#entry(meta));
    const done = await this.#halving(missing, entries.length, () => submit([{ type: 'records/anchor', entries }]), {
      again: (half) => this.#anchor(half),
      refuse: ({ seq }, code) => resources.refused(seq, code),
    });
    const known = done ? batch : batch.filter(({ meta }) => isAnchored(meta.record, meta.version));
    await resources.anchored(known.map(({ seq }) => seq));
  }

  #entry(meta: ResourceMeta): { [name: string]: string | number } {
    const patient = meta.patient === undefined ? undefined : this.#parts.patients.byId(meta.patient)?.did;
    return {
      record: meta.record,
      version: meta.version,
      patient: patient ?? '',
      commitment: meta.contentCommitment,
      source: meta.originalCommitment,
    };
  }

  /** Submits; where a rule refuses, tries the halves, until the one that is refused stands alone. */
  async #halving<T>(
    items: readonly T[],
    count: number,
    submit: () => Promise<unknown>,
    on: { again(half: readonly T[]): Promise<void>; refuse(item: T, code: number): void | Promise<void> },
  ): Promise<boolean> {
    if (count === 0) return true;
    try {
      await submit();
      return true;
    } catch (error) {
      if (!(error instanceof RuleFault)) throw error;
      const [first] = items;
      if (items.length === 1 && first !== undefined) {
        this.#refusals += 1;
        if (this.#refusals > refusalsMax) throw error;
        this.#parts.onError(error);
        await on.refuse(first, error.code);
        return false;
      }
      const middle = Math.ceil(items.length / 2);
      await on.again(items.slice(0, middle));
      await on.again(items.slice(middle));
      return false;
    }
  }

  /** Resolves when everything stored so far is anchored or refused; throws what stands in the way. */
  async drain(): Promise<void> {
    this.wake();
    while (this.#running !== undefined) await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#running;
  }
}

/** Each record once: of two versions the second waits for the next batch, since a message names a record once. */
function distinct(waiting: readonly Waiting[]): Waiting[] {
  const seen = new Set<string>();
  return waiting.filter(({ meta }) => {
    const isNew = !seen.has(meta.record);
    seen.add(meta.record);
    return isNew;
  });
}
