import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { utf8, utf8Text } from '@salus/protocol';
import {
  type EntryEvent,
  generatePatients,
  type Resource,
  readFhir,
  sandboxDirectory,
  splitByServiceProvider,
} from '@salus/standards';
import { usageFault } from '../cli.ts';

/** Custodians of the walkthrough, in the order in which a patient's providers are given to them. */
export const custodians = ['hospital', 'clinic', 'practice', 'specialist'] as const;
export type Custodian = (typeof custodians)[number];

const fhirFile = /\.(json|ndjson)(\.gz)?$/i;
const seedDefault = '20261121';
const generatedPatients = 3;

export interface Part {
  custodian: Custodian;
  entries: number;
  bundle: Uint8Array;
}

export interface Person {
  /** Number in this run: no name is shown. */
  number: number;
  parts: Part[];
}

export interface People {
  /** Organisations, practitioners and places, for every custodian. */
  directories: Uint8Array[];
  people: Person[];
}

interface Entry {
  fullUrl?: string;
  resource: Resource;
}

async function entriesOf(source: AsyncIterable<Uint8Array>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const event of readFhir(source)) {
    if (event.kind === 'fault') throw usageFault(event.message);
    if (event.kind === 'entry') entries.push(entryOf(event));
  }
  return entries;
}

/** A resource as it came: written anew, 1.50 would become 1.5, and that is not what was measured. */
const textOf = new WeakMap<Resource, string>();

function entryOf({ resource, resourceBytes, fullUrl }: EntryEvent): Entry {
  textOf.set(resource, utf8Text(resourceBytes));
  return { resource, ...(fullUrl !== undefined && { fullUrl }) };
}

function entryText({ fullUrl, resource }: Entry): string {
  const request = { method: 'POST', url: resource.resourceType };
  const about = JSON.stringify({ ...(fullUrl !== undefined && { fullUrl }), request });
  return `${about.slice(0, -1)},"resource":${textOf.get(resource) ?? JSON.stringify(resource)}}`;
}

function bundleOf(entries: Entry[]): Uint8Array {
  return utf8(`{"resourceType":"Bundle","type":"transaction","entry":[${entries.map(entryText).join(',\n')}]}`);
}

/** Each provider of the patient is one custodian; the one with most encounters is the hospital. */
function personOf(entries: Entry[], number: number, here: readonly Custodian[]): Person {
  const { parts } = splitByServiceProvider(entries);
  const ranked = [...parts].sort((a, b) => b.encounters - a.encounters).map(({ custodian }) => custodian);
  const slugOf = (provider: string): Custodian =>
    here[Math.min(ranked.indexOf(provider), here.length - 1)] ?? 'hospital';
  const byName = (reference: { reference?: string; identifier?: { value?: string } }): string =>
    slugOf(reference.reference ?? reference.identifier?.value ?? '');
  const [, second] = ranked;
  const split = splitByServiceProvider(entries, {
    custodianOf: byName,
    mainCustodian: 'hospital',
    ...(second !== undefined && { nameVariantAt: 'clinic' }),
  });
  return {
    number,
    parts: split.parts.map(({ custodian, entries: own }) => ({
      custodian: custodian as Custodian,
      entries: own.length,
      bundle: bundleOf(own),
    })),
  };
}

function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path, { recursive: true }).map(String);
    return names
      .filter((name) => fhirFile.test(name))
      .sort()
      .map((name) => join(path, name));
  });
}

function generated(count: number, here: readonly Custodian[], seed: string): People {
  const directory = sandboxDirectory() as unknown as { entry: Entry[] };
  const people = generatePatients({ seed, count }).map(({ bundle }, index) =>
    personOf((bundle as unknown as { entry: Entry[] }).entry, index + 1, here),
  );
  return { directories: [utf8(JSON.stringify(directory))], people };
}

/** The patients of the files given, or some of the project's own, divided among the custodians that are here. */
export async function loadPeople(
  paths: readonly string[],
  limit: number,
  here: readonly Custodian[],
  seed: string = seedDefault,
): Promise<People> {
  if (paths.length === 0) return generated(Math.min(limit, generatedPatients), here, seed);
  const people: People = { directories: [], people: [] };
  for (const file of filesOf(paths)) {
    const entries = await entriesOf(Readable.toWeb(createReadStream(file)) as unknown as AsyncIterable<Uint8Array>);
    const isPatient = entries.some(({ resource }) => resource.resourceType === 'Patient');
    if (!isPatient) people.directories.push(bundleOf(entries));
    else if (people.people.length < limit) people.people.push(personOf(entries, people.people.length + 1, here));
  }
  if (people.people.length === 0) throw usageFault('None of these files holds a patient.');
  return people;
}
