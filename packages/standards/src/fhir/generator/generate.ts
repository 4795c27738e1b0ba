import type { Bundle, CarePlan, CareTeam, Coverage, Goal } from '@medplum/fhirtypes';
import { addClaim, addImmunization, addLabs, addNote, addVitals, VISITS } from './clinical.ts';
import { coded, cpt, loinc, sct, VACCINES } from './codes.ts';
import { organizationReference, practitionerReference, sandboxOrganization } from './organizations.ts';
import { addParent, familyName, HOUSEHOLDS, makePerson, type Person, patientResource } from './people.ts';
import { Random } from './random.ts';
import { RecordBuilder, usCore, type Visit } from './record-builder.ts';
import { STORIES } from './stories.ts';

/** Patients made in one call. */
export const generatedPatientsMax = 10_000;

export type GenerateOptions = {
  /** The same seed gives the same patients, byte for byte. */
  seed: string;
  count: number;
  /** Day on which the stories end (ISO date). */
  today?: string;
};

export type GeneratedPatient = {
  /** Patient.id, and the UUID of its fullUrl. */
  id: string;
  given: string;
  family: string;
  birthDate: string;
  age: number;
  gender: 'female' | 'male';
  story: string;
  shows: readonly string[];
  /** Patient.id of the parent, for minors. */
  parentId?: string;
  /** Slugs of the organisations that hold something, the main custodian first. */
  custodians: string[];
  /** A transaction Bundle with `urn:uuid` and conditional references. */
  bundle: Bundle;
};

const dayDefault = '2026-11-01';
const checkupsMax = 4;

/** Synthetic patients of the project's own, families included; no text or code list of other generators is in them. */
export function generatePatients({ seed, count, today = dayDefault }: GenerateOptions): GeneratedPatient[] {
  if (!Number.isInteger(count) || count < 0 || count > generatedPatientsMax) {
    throw new RangeError(`The number of patients has to be 0–${generatedPatientsMax}.`);
  }
  const day = new Date(`${today}T00:00:00Z`);
  const patients: GeneratedPatient[] = [];
  const usedNames = new Set<string>();
  for (let household = 0; patients.length < count; household += 1) {
    const plan = HOUSEHOLDS[household % HOUSEHOLDS.length] ?? [];
    const random = new Random(`${seed}/${household}`);
    const family = familyName(random, usedNames);
    const members: { person: Person; id: string }[] = [];
    for (const member of plan) {
      const person = makePerson(random, member, family, day);
      const id = random.uuid();
      members.push({ person, id });
      if (patients.length >= count) continue;
      const parent = member.parent === undefined ? undefined : members[member.parent];
      patients.push(generateOne(random, day, person, id, STORIES[member.story], parent));
    }
  }
  return patients;
}

function generateOne(
  random: Random,
  today: Date,
  person: Person,
  id: string,
  story: (typeof STORIES)[keyof typeof STORIES],
  parent?: { person: Person; id: string },
): GeneratedPatient {
  const record = new RecordBuilder(random, today.getTime(), id);
  record.add(patientResource(random, id, person), id);
  if (parent) addParent(record, parent.person);
  addCoverage(record);
  addCheckups(record, person);
  story.tell(record, person);
  addCarePlan(record, story.name);
  return {
    id,
    given: person.given,
    family: person.family,
    birthDate: person.birthDate,
    age: person.age,
    gender: person.gender,
    story: story.name,
    shows: story.shows,
    ...(parent ? { parentId: parent.id } : {}),
    custodians: custodiansOf(record),
    bundle: { resourceType: 'Bundle', type: 'transaction', entry: record.entries },
  };
}

/** The check-ups of the last years at the clinic: vitals, smoking status, labs of grown-ups, vaccinations of the season. */
function addCheckups(record: RecordBuilder, person: Person): void {
  for (let year = checkupsMax; year >= 1; year -= 1) {
    const minor = person.age < 18;
    const visit = record.visit({
      at: 'birchwater',
      by: 'castellanos',
      daysAgo: year * 365 - record.random.int(20, 90),
      code: minor ? VISITS.wellChild : VISITS.checkup,
    });
    const grown = minor ? Math.max(0.6, 1 - year * 0.06) : 1;
    const systolic = record.random.around(minor ? 102 : 118 + person.age / 5, 9);
    addVitals(record, visit, person.heightCm * grown, person.weightKg * grown, systolic);
    if (!minor) addAdultScreening(record, visit);
    addVaccines(record, visit, person, year);
    if (year % 2 === 0) {
      addNote(record, visit, loinc('34117-2', 'History and physical note'), checkupText(person));
    }
    addClaim(record, visit, cpt(minor ? '99393' : '99396', 'Preventive visit'), 16_000);
  }
}

function addAdultScreening(record: RecordBuilder, visit: Visit): void {
  record.observe(visit, 'social-history', loinc('72166-2', 'Tobacco smoking status'), {
    valueCodeableConcept: sct('266919005', 'Never smoked tobacco'),
  });
  addLabs(record, visit, loinc('51990-0', 'Basic metabolic panel - Blood'), {
    glucose: record.random.around(94, 10),
    sodium: record.random.around(140, 3),
    potassium: record.random.around(4.2, 0.4, 1),
    creatinine: record.random.around(0.9, 0.2, 2),
  });
}

function addVaccines(record: RecordBuilder, visit: Visit, { age }: Person, year: number): void {
  addImmunization(record, visit, VACCINES.influenza);
  if (age < 12 && year === checkupsMax) {
    for (const vaccine of [VACCINES.dtap, VACCINES.mmr, VACCINES.polio, VACCINES.varicella, VACCINES.hepB]) {
      addImmunization(record, visit, vaccine);
    }
  } else if (age >= 12 && age < 18 && year === 2) {
    for (const vaccine of [VACCINES.hpv, VACCINES.meningococcal, VACCINES.tdap])
      addImmunization(record, visit, vaccine);
  } else if (age >= 65 && year === 3) {
    for (const vaccine of [VACCINES.pneumococcal, VACCINES.zoster]) addImmunization(record, visit, vaccine);
  } else if (year === 1) addImmunization(record, visit, VACCINES.covid);
}

function checkupText({ given, family, age }: Person): string {
  return [
    `${given} ${family} came for the yearly check-up at the age of ${age}.`,
    'Sleeps and eats well. Heart and lungs without findings, abdomen soft.',
    'Plan: vaccinations as due, see again in a year.',
  ].join('\n');
}

function addCoverage(record: RecordBuilder): void {
  record.add<Coverage>({
    resourceType: 'Coverage',
    status: 'active',
    type: coded('http://terminology.hl7.org/CodeSystem/v3-ActCode', 'HIP', 'health insurance plan policy'),
    subscriberId: `EVF${record.random.digits(9)}`,
    beneficiary: record.patient,
    relationship: coded('http://terminology.hl7.org/CodeSystem/subscriber-relationship', 'self'),
    payor: [organizationReference(sandboxOrganization('everfield'))],
  });
}

function addCarePlan(record: RecordBuilder, story: string): void {
  const clinic = sandboxOrganization('birchwater');
  const doctor = clinic.practitioners[0];
  const team = record.add<CareTeam>({
    resourceType: 'CareTeam',
    meta: usCore('careteam'),
    status: 'active',
    subject: record.patient,
    participant: [
      { role: [sct('116154003', 'Patient')], member: record.patient },
      ...(doctor
        ? [{ role: [sct('62247001', 'Family medicine specialist')], member: practitionerReference(doctor) }]
        : []),
    ],
    managingOrganization: [organizationReference(clinic)],
  });
  const goal = record.add<Goal>({
    resourceType: 'Goal',
    lifecycleStatus: 'active',
    description: {
      text: story === 'sports-injury' ? 'Run five kilometres without pain' : 'Walk half an hour on most days',
    },
    subject: record.patient,
    startDate: record.date(200),
  });
  record.add<CarePlan>({
    resourceType: 'CarePlan',
    meta: usCore('careplan'),
    text: {
      status: 'generated',
      div: '<div xmlns="http://www.w3.org/1999/xhtml">Regular activity, medicines as prescribed, yearly check-up.</div>',
    },
    status: 'active',
    intent: 'plan',
    category: [coded('http://hl7.org/fhir/us/core/CodeSystem/careplan-category', 'assess-plan')],
    subject: record.patient,
    period: { start: record.date(200) },
    careTeam: [team],
    goal: [goal],
  });
}

function custodiansOf(record: RecordBuilder): string[] {
  const counts = new Map<string, number>();
  for (const { resource } of record.entries) {
    if (resource?.resourceType !== 'Encounter') continue;
    const slug = resource.serviceProvider?.reference?.split('|')[1] ?? '';
    counts.set(slug, (counts.get(slug) ?? 0) + 1);
  }
  return [...counts].sort(([, left], [, right]) => right - left).map(([slug]) => slug);
}
