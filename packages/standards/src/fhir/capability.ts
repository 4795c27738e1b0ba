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
  /** Interactions of the whole system, such as `batch`. */
  system: readonly string[];
  /** Interactions of every type, such as `read`. */
  interactions: readonly string[];
  /** Which conditions are understood, such as `conditionalRead`. */
  conditional: Readonly<Record<string, boolean | string>>;
  operations: readonly { type: string; name: string }[];
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

/** The CapabilityStatement (R4 §2.27) of a server that does what `options` say with the searches of this package. */
export function capabilityStatement(options: CapabilityOptions): Resource {
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
        resource: (options.types ?? searchableTypes()).map((type) => resourceOf(type, options)),
        interaction: options.system.map((code) => ({ code })),
        compartment: ['http://hl7.org/fhir/CompartmentDefinition/patient'],
      },
    ],
  };
}

function resourceOf(type: string, { interactions, conditional, operations }: CapabilityOptions): JsonObject {
  const parameters = [...(searchParametersOf(type)?.values() ?? [])];
  const operation = operations
    .filter((one) => one.type === type)
    .map(({ name }) => ({ name, definition: `http://hl7.org/fhir/OperationDefinition/${type}-${name}` }));
  return {
    type,
    interaction: interactions.map((code) => ({ code })),
    versioning: 'versioned',
    readHistory: interactions.includes('vread'),
    ...conditional,
    searchInclude: parameters.filter(({ kind }) => kind === 'reference').map(({ name }) => `${type}:${name}`),
    searchParam: parameters.map(({ name, kind }) => ({ name, type: KINDS[kind] ?? 'special' })),
    ...(operation.length > 0 ? { operation } : {}),
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
