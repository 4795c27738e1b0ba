import { sha256, toHex, utf8 } from '@salus/protocol';
import { StandardsErrorCodes, standardsError } from '../errors.ts';
import { encounterOf, isPatientType } from './compartment.ts';
import { ReferenceIndex } from './reference-index.ts';
import { type FoundReference, listReferences, rewriteReferences } from './references.ts';
import {
  type Identifier,
  isObject,
  type JsonObject,
  type JsonValue,
  listOf,
  objectsOf,
  type Reference,
  type Resource,
} from './types.ts';

export type SplitEntry = { fullUrl?: string; resource: Resource };

export type SplitOptions = {
  /** The custodian for a serviceProvider reference; default: its text. */
  custodianOf?: (serviceProvider: Reference) => string;
  /** Where resources without an encounter go; default: the custodian with most encounters. */
  mainCustodian?: string;
  /** The custodian's own number for the patient; default: derived from both. */
  recordNumber?: (custodian: string, patient: Resource) => Identifier;
  /** A custodian that has the patient under a differently spelt name. */
  nameVariantAt?: string;
};

export type CustodianPart = {
  custodian: string;
  display?: string;
  encounters: number;
  /** `changed`: differs from what came in, since references or identifiers were rewritten. */
  entries: (SplitEntry & { changed: boolean })[];
};

export type SplitRecord = { main: string; parts: CustodianPart[] };

const MEDICAL_RECORD_NUMBER = {
  coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR', display: 'Medical Record Number' }],
  text: 'Medical Record Number',
};
const ENTRY_URL_SYSTEM = 'urn:ietf:rfc:3986';
const recordNumberDigits = 8;

/**
 * Splits one patient's record over the organisations that made it, as it would lie in reality: an encounter belongs to
 * its serviceProvider, a resource to its encounter, anything else to the main custodian; each has the Patient under a
 * number of its own. References to what another custodian holds become logical references (identifier). Resources outside the patient's compartment go wherever they are referred to.
 */
export function splitByServiceProvider(entries: readonly SplitEntry[], options: SplitOptions = {}): SplitRecord {
  const splitter = new Splitter(entries, options);
  return splitter.split();
}

class Splitter {
  readonly #entries: readonly SplitEntry[];
  readonly #options: SplitOptions;
  readonly #index = new ReferenceIndex();
  readonly #byUrl = new Map<string, number>();
  readonly #parts = new Map<string, { display?: string; encounters: number; members: Set<number> }>();
  /** Custodian of each encounter by entry. */
  readonly #encounters = new Map<number, string>();
  #main = '';

  constructor(entries: readonly SplitEntry[], options: SplitOptions) {
    this.#entries = entries;
    this.#options = options;
    for (const [position, { resource, fullUrl }] of entries.entries()) {
      const url = fullUrl ?? `urn:salus:entry:${position}`;
      this.#index.add(resource, url);
      this.#byUrl.set(url, position);
    }
  }

  split(): SplitRecord {
    if (!this.#entries.some(({ resource }) => resource.resourceType === 'Patient')) {
      throw standardsError(StandardsErrorCodes.patientMissing);
    }
    this.#placeEncounters();
    this.#placeRecords();
    this.#placeSupport();
    const parts = [...this.#parts].map(([custodian, { display, encounters, members }]) => ({
      custodian,
      ...(display === undefined ? {} : { display }),
      encounters,
      entries: [...members].sort((left, right) => left - right).map((at) => this.#entryFor(custodian, members, at)),
    }));
    return { main: this.#main, parts };
  }

  #part(custodian: string) {
    const known = this.#parts.get(custodian);
    if (known) return known;
    const part: { display?: string; encounters: number; members: Set<number> } = { encounters: 0, members: new Set() };
    this.#parts.set(custodian, part);
    return part;
  }

  #placeEncounters(): void {
    for (const [position, { resource }] of this.#entries.entries()) {
      if (resource.resourceType !== 'Encounter' || !isObject(resource.serviceProvider)) continue;
      const provider = resource.serviceProvider as Reference;
      const custodian = this.#options.custodianOf?.(provider) ?? provider.reference ?? provider.identifier?.value ?? '';
      if (custodian === '') continue;
      const part = this.#part(custodian);
      part.encounters += 1;
      part.display ??= provider.display;
      part.members.add(position);
      this.#encounters.set(position, custodian);
    }
    const busiest = [...this.#parts].sort(([, left], [, right]) => right.encounters - left.encounters)[0]?.[0];
    this.#main = this.#options.mainCustodian ?? busiest ?? '';
    if (this.#main === '') throw standardsError(StandardsErrorCodes.custodianMissing);
    this.#part(this.#main);
  }

  #placeRecords(): void {
    for (const [position, { resource, fullUrl }] of this.#entries.entries()) {
      if (this.#encounters.has(position)) continue;
      if (resource.resourceType === 'Patient') {
        for (const { members } of this.#parts.values()) members.add(position);
      } else if (isPatientType(resource.resourceType)) {
        const encounter = encounterOf(resource);
        const at = encounter === undefined ? undefined : this.#positionOf({ reference: encounter }, fullUrl);
        const custodian = at === undefined ? undefined : this.#encounters.get(at);
        this.#part(custodian ?? this.#main).members.add(position);
      }
    }
  }

  /** Resources that belong to nobody (medications, devices, places) follow whoever refers to them. */
  #placeSupport(): void {
    const placed = new Set<number>();
    for (const { members } of this.#parts.values()) {
      const open = [...members];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        const entry = this.#entries[at];
        if (!entry) continue;
        for (const { reference } of listReferences(entry.resource)) {
          const target = this.#positionOf(reference, entry.fullUrl);
          const type = target === undefined ? undefined : this.#entries[target]?.resource.resourceType;
          if (target === undefined || type === undefined || isPatientType(type) || members.has(target)) continue;
          members.add(target);
          open.push(target);
        }
      }
      for (const member of members) placed.add(member);
    }
    for (const position of this.#entries.keys())
      if (!placed.has(position)) this.#part(this.#main).members.add(position);
  }

  #positionOf(reference: Reference, from?: string): number | undefined {
    const found = this.#index.resolveFound({ path: '', reference }, from);
    return found?.fullUrl === undefined ? undefined : this.#byUrl.get(found.fullUrl);
  }

  #entryFor(custodian: string, members: ReadonlySet<number>, position: number): SplitEntry & { changed: boolean } {
    const { resource, fullUrl } = this.#entries[position] as SplitEntry;
    const resolve = (found: FoundReference) => this.#outsideReference(members, found, fullUrl);
    const rewritten = rewriteReferences(resource, resolve);
    const own = resource.resourceType === 'Patient' ? this.#patientAt(custodian, rewritten) : rewritten;
    return { ...(fullUrl === undefined ? {} : { fullUrl }), resource: own, changed: own !== resource };
  }

  /** A logical reference for what another custodian holds; undefined where the reference may stay. */
  #outsideReference(members: ReadonlySet<number>, found: FoundReference, from?: string): Reference | undefined {
    const position = this.#positionOf(found.reference, from);
    if (position === undefined || members.has(position)) return undefined;
    const target = this.#entries[position];
    if (!target) return undefined;
    return {
      type: target.resource.resourceType,
      identifier: identifierFor(target),
      ...(found.reference.display === undefined ? {} : { display: found.reference.display }),
    };
  }

  #patientAt(custodian: string, patient: Resource): Resource {
    const number = (this.#options.recordNumber ?? recordNumber)(custodian, patient);
    const kept = listOf(patient.identifier).filter(
      (identifier) => isObject(identifier) && isPublicIdentifier(identifier),
    );
    const identifier = [{ use: 'usual', type: MEDICAL_RECORD_NUMBER, ...number }, ...kept];
    const name =
      this.#options.nameVariantAt === custodian ? objectsOf(patient.name).map(differentSpelling) : patient.name;
    return { ...patient, identifier, ...(name === undefined ? {} : { name }) };
  }
}

function identifierFor({ resource, fullUrl }: SplitEntry): Identifier {
  for (const identifier of objectsOf(resource.identifier)) {
    if (typeof identifier.value !== 'string') continue;
    return {
      ...(typeof identifier.system === 'string' ? { system: identifier.system } : {}),
      value: identifier.value,
    };
  }
  return { system: ENTRY_URL_SYSTEM, value: fullUrl ?? `${resource.resourceType}/${resource.id ?? ''}` };
}

/** A number that does not belong to one organisation: social security, licence, passport. */
function isPublicIdentifier(identifier: JsonObject): boolean {
  const codes = isObject(identifier.type) ? objectsOf(identifier.type.coding).map(({ code }) => code) : [];
  return codes.length > 0 && !codes.includes('MR');
}

function recordNumber(custodian: string, patient: Resource): Identifier {
  const digest = toHex(sha256(utf8(`${custodian}|${patient.id ?? ''}`)));
  const digits = String(Number.parseInt(digest.slice(0, 12), 16)).slice(-recordNumberDigits);
  return { system: `urn:salus:mrn:${digest.slice(12, 24)}`, value: digits.padStart(recordNumberDigits, '0') };
}

/** The name as another clerk would have typed it: second given names dropped, two letters of the family exchanged. */
export function differentSpelling(name: JsonObject): JsonObject {
  const given = Array.isArray(name.given) ? name.given.slice(0, 1) : name.given;
  const { text: _, ...rest } = name;
  return {
    ...rest,
    ...(given === undefined ? {} : { given }),
    ...(typeof name.family === 'string' ? { family: exchangeLetters(name.family) } : {}),
  };
}

function exchangeLetters(text: string): JsonValue & string {
  const end = text.search(/[^\p{L}]*$/u);
  for (let at = end - 2; at > 0; at -= 1) {
    const [left, right] = [text.charAt(at), text.charAt(at + 1)];
    if (left !== right && at + 1 < end) return text.slice(0, at) + right + left + text.slice(at + 2);
  }
  return `${text}e`;
}
