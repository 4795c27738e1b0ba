import type { CodeableConcept } from '@medplum/fhirtypes';
import { addClaim, VISITS } from './clinical.ts';
import { cpt, loinc } from './codes.ts';
import type { Person } from './people.ts';
import type { RecordBuilder, Visit } from './record-builder.ts';

/** A course of illness or life that a patient of the sandbox has. It is told on top of the yearly check-ups. */
export type Story = {
  name: string;
  /** What it shows, for demonstrations. */
  shows: string[];
  tell: (record: RecordBuilder, person: Person) => void;
};

export const YEAR = 365;
export const METABOLIC = loinc('51990-0', 'Basic metabolic panel - Blood');
export const PROGRESS_NOTE = loinc('11506-3', 'Progress note');
export const DISCHARGE_SUMMARY = loinc('18842-5', 'Discharge summary');
export const CONSULT_NOTE = loinc('11488-4', 'Consult note');

type CourseOptions = {
  at: string;
  by?: string;
  count: number;
  everyDays: number;
  lastDaysAgo: number;
  cents?: number;
  /** Why the patient comes: also what makes the visit as sensitive as its reason. */
  reason?: CodeableConcept;
};

/** Visits `count` times, every `everyDays`, the last one `lastDaysAgo`; `step` runs from 0 to 1. */
export function course(
  record: RecordBuilder,
  options: CourseOptions,
  each: (visit: Visit, step: number, index: number) => void,
): void {
  for (let index = 0; index < options.count; index += 1) {
    const daysAgo = options.lastDaysAgo + (options.count - 1 - index) * options.everyDays + record.random.int(0, 5);
    const visit = record.visit({
      at: options.at,
      by: options.by,
      daysAgo,
      code: VISITS.followUp,
      reason: options.reason,
    });
    each(visit, options.count === 1 ? 1 : index / (options.count - 1), index);
    addClaim(record, visit, cpt('99213', 'Office visit, established patient'), options.cents ?? 12_000);
  }
}
