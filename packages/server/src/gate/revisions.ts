/** Patients share counters: one that moved for somebody else costs a second look, and nothing more. */
const countersMax = 4_096;
const hashFactor = 31;

function slotOf(patient: string): number {
  let hash = 0;
  for (let at = 0; at < patient.length; at += 1) hash = (Math.imul(hash, hashFactor) + patient.charCodeAt(at)) >>> 0;
  return hash % countersMax;
}

/**
 * Tells whether what is kept about a patient was written since it was read. Who writes says so as soon as the write is
 * durable, before anybody hears that it is done; who reads looks before the read and again where the answer is used.
 */
export class Revisions {
  readonly #counts = new Uint32Array(countersMax);

  of(patient: string): number {
    return this.#counts[slotOf(patient)] ?? 0;
  }

  /** For a write that is durable, or of which nobody knows whether it is. */
  changed(patient: string): void {
    const slot = slotOf(patient);
    this.#counts[slot] = this.of(patient) + 1;
  }
}
