import type { Bundle, Organization, Practitioner, PractitionerRole, Resource } from '@medplum/fhirtypes';

export type SandboxPractitioner = {
  /** Unique in the sandbox. */
  id: string;
  npi: string;
  given: string;
  family: string;
  role: 'doctor' | 'nurse' | 'pharmacist' | 'midwife' | 'therapist';
  specialty: { code: string; display: string };
};

export type SandboxOrganization = {
  slug: string;
  name: string;
  role: 'hospital' | 'clinic' | 'pharmacy' | 'payer' | 'regulator';
  /** Class of members in governance. */
  class: 'provider' | 'pharmacy' | 'payer' | 'regulator';
  /** Value under `ORGANIZATION_SYSTEM`, by which resources refer to it. */
  identifier: string;
  city: string;
  practitioners: SandboxPractitioner[];
};

export const ORGANIZATION_SYSTEM = 'urn:salus:sandbox:organization';
export const NPI_SYSTEM = 'http://hl7.org/fhir/sid/us-npi';

const family = { code: '207Q00000X', display: 'Family Medicine Physician' };
const internal = { code: '207R00000X', display: 'Internal Medicine Physician' };
const nurse = { code: '163W00000X', display: 'Registered Nurse' };

/** The members of the sandbox. None of them exists; their NPI numbers start with 9, which real ones never do. */
export const sandboxOrganizations: readonly SandboxOrganization[] = [
  {
    slug: 'harborlight',
    name: 'Harborlight Sandbox Hospital',
    role: 'hospital',
    class: 'provider',
    identifier: 'harborlight',
    city: 'Sampleton',
    practitioners: [
      { id: 'okafor', npi: '9100000017', given: 'Ada', family: 'Specimen-Okafor', role: 'doctor', specialty: internal },
      {
        id: 'lindqvist',
        npi: '9100000025',
        given: 'Nils',
        family: 'Specimen-Lindqvist',
        role: 'doctor',
        specialty: { code: '207P00000X', display: 'Emergency Medicine Physician' },
      },
      {
        id: 'haddad',
        npi: '9100000033',
        given: 'Rima',
        family: 'Specimen-Haddad',
        role: 'doctor',
        specialty: { code: '207V00000X', display: 'Obstetrics & Gynecology Physician' },
      },
      { id: 'mbeki', npi: '9100000041', given: 'Thandi', family: 'Specimen-Mbeki', role: 'nurse', specialty: nurse },
    ],
  },
  {
    slug: 'birchwater',
    name: 'Birchwater Sandbox Clinic',
    role: 'clinic',
    class: 'provider',
    identifier: 'birchwater',
    city: 'Mockford',
    practitioners: [
      {
        id: 'castellanos',
        npi: '9200000016',
        given: 'Inés',
        family: 'Specimen-Castellanos',
        role: 'doctor',
        specialty: family,
      },
      {
        id: 'novak',
        npi: '9200000024',
        given: 'Petra',
        family: 'Specimen-Novak',
        role: 'therapist',
        specialty: { code: '103TC0700X', display: 'Clinical Psychologist' },
      },
      { id: 'yamada', npi: '9200000032', given: 'Ken', family: 'Specimen-Yamada', role: 'nurse', specialty: nurse },
    ],
  },
  {
    slug: 'cedarpost',
    name: 'Cedarpost Sandbox Pharmacy',
    role: 'pharmacy',
    class: 'pharmacy',
    identifier: 'cedarpost',
    city: 'Mockford',
    practitioners: [
      {
        id: 'dubois',
        npi: '9300000015',
        given: 'Léa',
        family: 'Specimen-Dubois',
        role: 'pharmacist',
        specialty: { code: '183500000X', display: 'Pharmacist' },
      },
    ],
  },
  {
    slug: 'everfield',
    name: 'Everfield Sandbox Health Plan',
    role: 'payer',
    class: 'payer',
    identifier: 'everfield',
    city: 'Sampleton',
    practitioners: [],
  },
  {
    slug: 'state-authority',
    name: 'Sandbox State Health Authority',
    role: 'regulator',
    class: 'regulator',
    identifier: 'state-authority',
    city: 'Sampleton',
    practitioners: [],
  },
];

export function sandboxOrganization(slug: string): SandboxOrganization {
  const found = sandboxOrganizations.find((organization) => organization.slug === slug);
  if (!found) throw new RangeError(`No sandbox organisation is called ${slug}.`);
  return found;
}

export function organizationReference({ identifier, name }: SandboxOrganization) {
  return { reference: `Organization?identifier=${ORGANIZATION_SYSTEM}|${identifier}`, display: name };
}

export function practitionerReference({ npi, given, family: name }: SandboxPractitioner) {
  return { reference: `Practitioner?identifier=${NPI_SYSTEM}|${npi}`, display: `${given} ${name}` };
}

/** Organizations, Practitioners and PractitionerRoles of the sandbox as a batch Bundle, to load before patients. */
export function sandboxDirectory(): Bundle {
  const entry: { fullUrl: string; resource: Resource }[] = [];
  for (const organization of sandboxOrganizations) {
    entry.push({ fullUrl: `urn:salus:sandbox:${organization.slug}`, resource: organizationResource(organization) });
    for (const practitioner of organization.practitioners) {
      entry.push({ fullUrl: `urn:salus:sandbox:${practitioner.id}`, resource: practitionerResource(practitioner) });
      const role = roleResource(organization, practitioner);
      entry.push({ fullUrl: `urn:salus:sandbox:${practitioner.id}:role`, resource: role });
    }
  }
  return {
    resourceType: 'Bundle',
    type: 'batch',
    entry: entry.map(({ fullUrl, resource }) => ({
      fullUrl,
      resource,
      request: { method: 'POST', url: resource.resourceType },
    })),
  };
}

const ORGANIZATION_TYPES = {
  hospital: 'prov',
  clinic: 'prov',
  pharmacy: 'prov',
  payer: 'pay',
  regulator: 'govt',
} as const;

function organizationResource({ slug, name, identifier, city, role }: SandboxOrganization): Organization {
  return {
    resourceType: 'Organization',
    id: slug,
    identifier: [{ system: ORGANIZATION_SYSTEM, value: identifier }],
    active: true,
    type: [
      {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/organization-type', code: ORGANIZATION_TYPES[role] }],
      },
    ],
    name,
    telecom: [{ system: 'phone', value: '555-0100', use: 'work' }],
    address: [{ city, state: 'ZZ', country: 'US' }],
  };
}

function practitionerResource({ id, npi, given, family: name }: SandboxPractitioner): Practitioner {
  return {
    resourceType: 'Practitioner',
    id,
    identifier: [{ system: NPI_SYSTEM, value: npi }],
    active: true,
    name: [{ family: name, given: [given], prefix: ['Dr.'] }],
    telecom: [{ system: 'email', value: `${id}@example.org`, use: 'work' }],
  };
}

function roleResource(organization: SandboxOrganization, practitioner: SandboxPractitioner): PractitionerRole {
  return {
    resourceType: 'PractitionerRole',
    id: `${practitioner.id}-role`,
    active: true,
    practitioner: practitionerReference(practitioner),
    organization: organizationReference(organization),
    code: [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/practitioner-role', code: practitioner.role }] },
    ],
    specialty: [{ coding: [{ system: 'http://nucc.org/provider-taxonomy', ...practitioner.specialty }] }],
  };
}
