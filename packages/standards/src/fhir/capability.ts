import { searchableTypes, searchParametersOf } from './search/parameters.ts';
import type { JsonObject, Resource } from './types.ts';

export type CapabilityOptions = {
  /** Base URL of the FHIR service. */
  url: string;
  /** ISO date of the software. */
  date: string;
  version: string;
  /** Types that are served; default: all that can be searched. */
  types?: string[];
  /** Interactions of every type; default: read and search. */
  interactions?: ('read' | 'vread' | 'search-type' | 'history-instance' | 'create' | 'update')[];
  /** URL of the OAuth server, for the SMART security extension. */
  oauth?: { authorize: string; token: string };
};

const KINDS: Readonly<Record<string, string>> = {
  token: 'token',
  id: 'token',
  reference: 'reference',
  date: 'date',
  lastUpdated: 'date',
  string: 'string',
};

/** The CapabilityStatement (R4 §2.27) of what the search and read functions of this package can serve. */
export function capabilityStatement(options: CapabilityOptions): Resource {
  const interactions = options.interactions ?? ['read', 'search-type'];
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: options.date,
    kind: 'instance',
    software: { name: 'Salus', version: options.version },
    implementation: { description: 'Salus: records released by their patients', url: options.url },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    rest: [
      {
        mode: 'server',
        security: securityOf(options),
        resource: (options.types ?? searchableTypes()).map((type) => resourceOf(type, interactions)),
        compartment: ['http://hl7.org/fhir/CompartmentDefinition/patient'],
      },
    ],
  };
}

function resourceOf(type: string, interactions: string[]): JsonObject {
  const parameters = [...(searchParametersOf(type)?.values() ?? [])];
  const everything = [{ name: 'everything', definition: 'http://hl7.org/fhir/OperationDefinition/Patient-everything' }];
  return {
    type,
    interaction: interactions.map((code) => ({ code })),
    versioning: 'versioned',
    searchInclude: parameters.filter(({ kind }) => kind === 'reference').map(({ name }) => `${type}:${name}`),
    searchParam: parameters.map(({ name, kind }) => ({ name, type: KINDS[kind] ?? 'special' })),
    ...(type === 'Patient' ? { operation: everything } : {}),
  };
}

function securityOf({ oauth }: CapabilityOptions): JsonObject {
  const service = {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' }],
  };
  if (!oauth) return { service: [service] };
  const extension = {
    url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
    extension: [
      { url: 'authorize', valueUri: oauth.authorize },
      { url: 'token', valueUri: oauth.token },
    ],
  };
  return { extension: [extension], service: [service] };
}
