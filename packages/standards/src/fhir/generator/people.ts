import type { Patient, RelatedPerson } from '@medplum/fhirtypes';
import { coded } from './codes.ts';
import type { Random } from './random.ts';
import { type RecordBuilder, usCore } from './record-builder.ts';
import type { StoryKey } from './stories.ts';

/** Somebody of the sandbox before there is a record. */
export type Person = {
  given: string;
  family: string;
  gender: 'female' | 'male';
  birthDate: string;
  age: number;
  heightCm: number;
  weightKg: number;
};

/** Members of one household; a `parent` is the place of the mother or father in the household. */
export type HouseholdPlan = readonly {
  story: StoryKey;
  gender: 'female' | 'male';
  age: readonly [number, number];
  parent?: number;
}[];

/** Households in the order in which patients are made; repeated with other people when more are wanted. */
export const HOUSEHOLDS: readonly HouseholdPlan[] = [
  [
    { story: 'hiddenInteraction', gender: 'female', age: [41, 44] },
    { story: 'asthma', gender: 'male', age: [9, 9], parent: 0 },
    { story: 'teenager', gender: 'female', age: [16, 16], parent: 0 },
  ],
  [{ story: 'metabolic', gender: 'female', age: [76, 82] }],
  [{ story: 'hiv', gender: 'male', age: [32, 38] }],
  [{ story: 'substanceUse', gender: 'male', age: [27, 33] }],
  [
    { story: 'pregnancy', gender: 'female', age: [28, 34] },
    { story: 'active', gender: 'male', age: [30, 36] },
  ],
  [
    { story: 'heart', gender: 'male', age: [60, 66] },
    { story: 'thyroidAndPsychosis', gender: 'female', age: [50, 55] },
  ],
];

/** Names that nobody takes for real ones. */
const FAMILIES = [
  ...['Examplesson', 'Samplewood', 'Mockridge', 'Testerfield', 'Pretendler', 'Fictionado', 'Demonstrova', 'Placeholt'],
  ...['Trialstone', 'Notareal', 'Inventado', 'Makebelieve', 'Sandboxer', 'Imaginetti', 'Fabrikowski', 'Dummerson'],
] as const;
const GIVEN = {
  female: ['Testa', 'Mocka', 'Samplina', 'Ficta', 'Demona', 'Exempla', 'Fabula', 'Simula', 'Placeria', 'Imagina'],
  male: ['Testor', 'Mockus', 'Sampson', 'Fictor', 'Demonstr', 'Exemplar', 'Fabulo', 'Simulo', 'Placido', 'Imago'],
} as const;
const STREETS = [
  'Placeholder Lane',
  'Example Street',
  'Mockup Avenue',
  'Lorem Court',
  'Sandbox Way',
  'Fixture Road',
] as const;

export function familyName(random: Random, used: Set<string>): string {
  const free = FAMILIES.filter((name) => !used.has(name));
  const name = free.length > 0 ? random.pick(free) : `${random.pick(FAMILIES)}-${random.pick(FAMILIES)}`;
  used.add(name);
  return name;
}

export function makePerson(random: Random, plan: HouseholdPlan[number], family: string, today: Date): Person {
  const age = random.int(plan.age[0], plan.age[1]);
  // At least a week after the last birthday, so that ages hold while a demonstration runs.
  const birth = new Date(
    Date.UTC(today.getUTCFullYear() - age, today.getUTCMonth(), today.getUTCDate() - random.int(7, 330)),
  );
  const grown = age >= 18;
  const heightCm = grown ? (plan.gender === 'female' ? 164 : 178) + random.around(0, 8) : 80 + age * 5.5;
  return {
    given: random.pick(GIVEN[plan.gender]),
    family,
    gender: plan.gender,
    birthDate: birth.toISOString().slice(0, 10),
    age,
    heightCm,
    weightKg: grown ? random.around(plan.gender === 'female' ? 68 : 82, 14, 1) : 10 + age * 3,
  };
}

const HL7_IDENTIFIERS = 'http://terminology.hl7.org/CodeSystem/v2-0203';
/** Extension of the patient: the sandbox's numbers are under systems of its own. */
const SSN_SYSTEM = 'http://hl7.org/fhir/sid/us-ssn';

export function patientResource(random: Random, id: string, person: Person): Patient {
  return {
    resourceType: 'Patient',
    id,
    meta: usCore('patient'),
    identifier: [
      {
        use: 'usual',
        type: coded(HL7_IDENTIFIERS, 'MR', 'Medical Record Number'),
        system: 'urn:salus:sandbox:mrn',
        value: `SBX-${random.digits(7)}`,
      },
      // Numbers that start with 9 are never given to anybody.
      {
        type: coded(HL7_IDENTIFIERS, 'SS', 'Social Security Number'),
        system: SSN_SYSTEM,
        value: `999-${random.digits(2)}-${random.digits(4)}`,
      },
    ],
    active: true,
    name: [{ use: 'official', family: person.family, given: [person.given] }],
    telecom: [
      { system: 'phone', value: `555-01${random.digits(2)}`, use: 'home' },
      { system: 'email', value: `${person.given}.${person.family}.${random.digits(3)}@example.com`.toLowerCase() },
    ],
    gender: person.gender,
    birthDate: person.birthDate,
    address: [
      {
        use: 'home',
        line: [`${random.int(1, 999)} ${random.pick(STREETS)}`],
        city: random.pick(['Sampleton', 'Mockford']),
        state: 'ZZ',
        postalCode: `00${random.digits(3)}`,
        country: 'US',
      },
    ],
    communication: [{ language: coded('urn:ietf:bcp:47', random.chance(0.8) ? 'en-US' : 'es-US'), preferred: true }],
  };
}

/** The parent as contact of the child, with the right to decide for it until majority. */
export function addParent(record: RecordBuilder, parent: Person): void {
  record.add<RelatedPerson>({
    resourceType: 'RelatedPerson',
    active: true,
    patient: record.patient,
    relationship: [
      coded('http://terminology.hl7.org/CodeSystem/v3-RoleCode', parent.gender === 'female' ? 'MTH' : 'FTH'),
      coded('http://terminology.hl7.org/CodeSystem/v3-RoleCode', 'GUARD', 'guardian'),
    ],
    name: [{ family: parent.family, given: [parent.given] }],
    telecom: [{ system: 'phone', value: `555-01${record.random.digits(2)}`, use: 'mobile' }],
    gender: parent.gender,
    birthDate: parent.birthDate,
  });
}
