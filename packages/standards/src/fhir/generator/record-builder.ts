import type {
  BundleEntry,
  CodeableConcept,
  Encounter,
  Observation,
  Patient,
  Reference,
  Resource,
} from '@medplum/fhirtypes';
import { coded, type Measure } from './codes.ts';
import {
  organizationReference,
  practitionerReference,
  type SandboxOrganization,
  type SandboxPractitioner,
  sandboxOrganization,
} from './organizations.ts';
import type { Random } from './random.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;

export type Visit = {
  reference: Reference<Encounter>;
  organization: SandboxOrganization;
  practitioner: SandboxPractitioner;
  startMs: number;
};

type VisitOptions = {
  at: string;
  by?: string;
  daysAgo: number;
  code: CodeableConcept;
  class?: 'AMB' | 'EMER' | 'IMP' | 'VR';
  reason?: CodeableConcept;
  minutes?: number;
};

const CLASS_DISPLAYS = { AMB: 'ambulatory', EMER: 'emergency', IMP: 'inpatient encounter', VR: 'virtual' } as const;

/** Collects the entries of one patient's transaction Bundle; every resource gets a `urn:uuid` name to refer to. */
export class RecordBuilder {
  readonly entries: BundleEntry[] = [];
  readonly random: Random;
  readonly patient: Reference<Patient>;
  readonly todayMs: number;

  constructor(random: Random, todayMs: number, patientId: string) {
    this.random = random;
    this.todayMs = todayMs;
    this.patient = { reference: `urn:uuid:${patientId}` };
  }

  add<T extends Resource>(resource: T, id = this.random.uuid()): Reference<T> {
    const fullUrl = `urn:uuid:${id}`;
    const request = { method: 'POST', url: resource.resourceType } as const;
    this.entries.push({ fullUrl, resource: { ...resource, id }, request });
    return { reference: fullUrl } as Reference<T>;
  }

  /** ISO time of `daysAgo` at the given hour (UTC). */
  time(daysAgo: number, hour = 9): string {
    return new Date(this.todayMs - daysAgo * dayMs + hour * 60 * minuteMs).toISOString();
  }

  date(daysAgo: number): string {
    return this.time(daysAgo).slice(0, 10);
  }

  visit(options: VisitOptions): Visit {
    const organization = sandboxOrganization(options.at);
    const practitioner =
      organization.practitioners.find(({ id }) => id === options.by) ??
      (organization.practitioners[0] as SandboxPractitioner);
    const startMs = this.todayMs - options.daysAgo * dayMs + this.random.int(8, 16) * 60 * minuteMs;
    const period = {
      start: new Date(startMs).toISOString(),
      end: new Date(startMs + (options.minutes ?? 30) * minuteMs).toISOString(),
    };
    const code = options.class ?? 'AMB';
    const reference = this.add<Encounter>({
      resourceType: 'Encounter',
      meta: usCore('encounter'),
      status: 'finished',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code, display: CLASS_DISPLAYS[code] },
      type: [options.code],
      subject: this.patient,
      participant: [
        {
          type: [coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'PPRF', 'primary performer')],
          period,
          individual: practitionerReference(practitioner),
        },
      ],
      period,
      ...(options.reason ? { reasonCode: [options.reason] } : {}),
      serviceProvider: organizationReference(organization),
    });
    return { reference, organization, practitioner, startMs };
  }

  observation(
    visit: Visit,
    category: 'vital-signs' | 'laboratory' | 'social-history' | 'survey',
    measure: Measure,
    value: number,
    interpretation?: 'H' | 'L' | 'N',
  ): Reference<Observation> {
    const rounded = Number(value.toFixed(measure.decimals ?? 0));
    return this.observe(visit, category, measure.code, {
      valueQuantity: { value: rounded, unit: measure.unit, system: 'http://unitsofmeasure.org', code: measure.unit },
      ...(interpretation
        ? {
            interpretation: [
              coded('http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', interpretation),
            ],
          }
        : {}),
    });
  }

  observe(
    visit: Visit,
    category: 'vital-signs' | 'laboratory' | 'social-history' | 'survey',
    code: CodeableConcept,
    value: Partial<Observation>,
  ): Reference<Observation> {
    const time = new Date(visit.startMs + 10 * minuteMs).toISOString();
    return this.add<Observation>({
      resourceType: 'Observation',
      status: 'final',
      category: [coded('http://terminology.hl7.org/CodeSystem/observation-category', category, category)],
      code,
      subject: this.patient,
      encounter: visit.reference,
      effectiveDateTime: time,
      issued: time,
      performer: [practitionerReference(visit.practitioner)],
      ...value,
    });
  }
}

export function usCore(profile: string): { profile: string[] } {
  return { profile: [`http://hl7.org/fhir/us/core/StructureDefinition/us-core-${profile}`] };
}
