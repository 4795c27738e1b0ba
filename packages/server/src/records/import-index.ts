import { createHash } from 'node:crypto';
import {
  type Classification,
  classify,
  type EntryEvent,
  type FoundReference,
  type Identifier,
  type IndexedResource,
  labelReferences,
  type Reference,
  ReferenceIndex,
  type ReferenceResolver,
  type Resource,
  readFhir,
  rewriteReferences,
} from '@salus/standards';
import type { RecordErrorName } from './errors.ts';
import type { ResourceStore, StoredResource } from './resource-store.ts';
import { Turn } from './turn.ts';

/** Something that can be read twice: an index pass, then the pass that stores. */
export type Openable = () => AsyncIterable<Uint8Array>;

export interface PlannedEntry {
  type: string;
  id: string;
  sourceHash: string;
  /** A conditional create (R4 §3.1.0.8.1) that found its resource here: nothing is to be done. */
  exists: boolean;
  /** A conditional create that found nothing: what has to be so still when it is stored. */
  unless?: { system: string; value: string };
}

type Known = { type: string; id: string } | undefined;

/** What the entries of one input will be called, so that references lead to them whichever comes first. */
export class ImportIndex {
  readonly references = new ReferenceIndex();
  /** By `Type/id`; equal ones are one object, so that a large input takes little memory. */
  readonly #classifications = new Map<string, Classification>();
  readonly #kinds = new Map<string, Classification>();
  /** Sensitivity labels of entries that have some, by `Type/id`. */
  readonly #labels = new Map<string, Set<string>>();
  /** Entries and the texts of the references from which they inherit labels. */
  readonly #inheriting: { name: string; texts: string[]; fullUrl: string | undefined }[] = [];
  readonly #patients = new Set<string>();
  readonly #conditional = new Map<string, string>();
  readonly #known = new Map<string, Known>();
  /** What the resolvers were asked for since the last look. */
  readonly #unknown = new Map<string, { type: string; system: string; value: string }>();
  readonly #resources: ResourceStore;
  readonly #sees: (stored: StoredResource) => boolean;

  /** `sees` narrows down which stored resources are found by an identifier, or pass on their labels. */
  constructor(resources: ResourceStore, sees: (stored: StoredResource) => boolean = () => true) {
    this.#resources = resources;
    this.#sees = sees;
  }

  async read(open: Openable): Promise<void> {
    const turn = new Turn();
    for await (const event of readFhir(open())) {
      if (event.kind === 'entry') await this.#note(event);
      await turn.yieldWhenLong();
    }
    await this.#spreadLabels();
  }

  async #note(event: EntryEvent): Promise<void> {
    const planned = await this.plan(event);
    if (typeof planned === 'string') return;
    this.references.add(event.resource, event.fullUrl, planned);
    if (planned.type === 'Patient') this.#patients.add(planned.id);
    const name = `${planned.type}/${planned.id}`;
    const classification = classify(event.resource);
    const kind = JSON.stringify(classification);
    const shared = this.#kinds.get(kind) ?? classification;
    this.#kinds.set(kind, shared);
    this.#classifications.set(name, shared);
    if (shared.labels.length > 0) this.#labels.set(name, new Set(shared.labels));
    const texts = labelReferences(event.resource);
    if (texts.length > 0) this.#inheriting.push({ name, texts, fullUrl: event.fullUrl });
  }

  /** Carries labels along references until nothing changes: a bill for a prescription for a condition tells of it. */
  async #spreadLabels(): Promise<void> {
    const sources = this.#inheriting.map(({ name, texts, fullUrl }) => ({
      name,
      targets: texts.map((text) => this.#nameOf(text, fullUrl)).filter((target) => target !== undefined),
    }));
    const stored = await this.#storedLabels(new Set(sources.flatMap(({ targets }) => targets)));
    for (let changed = true; changed; ) {
      changed = false;
      for (const { name, targets } of sources) {
        const inherited = targets.flatMap((target) => [...(this.#labels.get(target) ?? stored.get(target) ?? [])]);
        const own = this.#labels.get(name) ?? new Set();
        const missing = inherited.filter((label) => !own.has(label));
        if (missing.length === 0) continue;
        this.#labels.set(name, new Set([...own, ...missing]));
        changed = true;
      }
    }
  }

  #nameOf(text: string, fullUrl: string | undefined): string | undefined {
    const found = this.references.resolve(text, fullUrl);
    if (found?.id !== undefined) return `${found.type}/${found.id}`;
    return /^[A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64}$/.test(text) ? text : undefined;
  }

  /** Labels of those that are not of this input and stored already. */
  async #storedLabels(targets: ReadonlySet<string>): Promise<ReadonlyMap<string, string[]>> {
    const names = [...targets].filter((target) => this.references.resolve(target) === undefined);
    const found = (await this.#resources.findAll(names)).filter(this.#sees);
    return new Map(found.map(({ type, id, labels }) => [`${type}/${id}`, labels]));
  }

  /** The id under which an entry is kept (R4 §3.1.0.11: POST creates, PUT keeps the id, conditional create). */
  async plan({ resource, resourceBytes, fullUrl, request }: EntryEvent): Promise<PlannedEntry | RecordErrorName> {
    const type = resource.resourceType;
    const sourceHash = createHash('sha256').update(resourceBytes).digest('hex');
    const createdId = (): string => this.#resources.tokens.createdId(fullUrl ?? '', sourceHash);
    const method = request?.method ?? (resource.id === undefined ? 'POST' : 'PUT');
    if (request?.url !== undefined && !isAddressOf(request.url, resource, method)) return 'addressMismatch';
    if (method === 'PUT') {
      if (request?.url?.includes('?')) return 'conditionUnsupported';
      const id = resource.id ?? /^[A-Za-z]+\/([A-Za-z0-9.-]{1,64})$/.exec(request?.url ?? '')?.[1];
      return { type, id: id ?? createdId(), sourceHash, exists: false };
    }
    if (method !== 'POST') return 'requestMethodUnsupported';
    const created = createdId();
    if (request?.ifNoneExist === undefined) return { type, id: created, sourceHash, exists: false };
    const condition = conditionOf(request.ifNoneExist);
    if (condition === undefined) return 'conditionUnsupported';
    const { system = '', value = '' } = condition;
    const name = `${type}?${system}|${value}`;
    // The first entry that asks decides for all of this input, also after it has been stored.
    const known = this.#conditional.get(name) ?? (await this.#resources.findByIdentifier(type, system, value))?.id;
    const id = known ?? created;
    this.#conditional.set(name, id);
    return { type, id, sourceHash, exists: id !== created, unless: { system, value } };
  }

  isPatient(id: string): boolean {
    return this.#patients.has(id);
  }

  /** The patient of an input about one patient: whose all is that names nobody. */
  onlyPatient(): string | undefined {
    return this.#patients.size === 1 ? this.#patients.values().next().value : undefined;
  }

  /** A resource whose references lead to where things are here, and what writes others of the same entry alike. */
  async rewrite(
    resource: Resource,
    fullUrl: string | undefined,
  ): Promise<{ rewritten: Resource; resolve: ReferenceResolver }> {
    const resolve = this.#resolverFor(fullUrl);
    const rewritten = rewriteReferences(resource, resolve);
    if (this.#unknown.size === 0) return { rewritten, resolve };
    await this.#lookUp();
    return { rewritten: rewriteReferences(resource, resolve), resolve };
  }

  /** Where references lead here; one that leads outside becomes a logical reference (R4 §2.3.0.1). */
  #resolverFor(fullUrl: string | undefined): ReferenceResolver {
    return (found) => {
      const local = this.references.resolveFound(found, fullUrl);
      if (local?.id !== undefined) return this.#local(found, local);
      return this.#outside(found);
    };
  }

  #local({ reference }: FoundReference, { type, id }: IndexedResource): string | Reference {
    const text = `${type}/${id}`;
    // A reference by identifier alone stays one, and becomes literal too.
    return reference.reference === undefined ? { ...reference, reference: text } : text;
  }

  #outside({ target, reference }: FoundReference): string | Reference | undefined {
    const { display, type, identifier } = reference;
    if (target === undefined) {
      const known = type === undefined || identifier === undefined ? undefined : this.#stored(type, identifier);
      return known && { ...reference, reference: `${known.type}/${known.id}` };
    }
    const shown = display === undefined ? {} : { display };
    if (target.kind === 'urn') {
      return { identifier: { system: 'urn:ietf:rfc:3986', value: target.urn }, ...shown };
    }
    if (target.kind !== 'conditional' || target.identifier === undefined) return undefined;
    const known = this.#stored(target.type, target.identifier);
    if (known !== undefined) return `${known.type}/${known.id}`;
    return { type: target.type, identifier: target.identifier, ...shown };
  }

  #stored(type: string, { system = '', value = '' }: Identifier): Known {
    const name = `${type}?${system}|${value}`;
    if (!this.#known.has(name)) this.#unknown.set(name, { type, system, value });
    return this.#known.get(name);
  }

  /** Finds what a resolver was asked for and could not know yet. */
  async #lookUp(): Promise<void> {
    for (const [name, { type, system, value }] of this.#unknown) {
      const found = await this.#resources.findByIdentifier(type, system, value);
      this.#known.set(name, found !== undefined && this.#sees(found) ? { type, id: found.id } : undefined);
    }
    this.#unknown.clear();
  }

  /** Categories and labels of an entry, with those that it inherits. */
  classify(resource: Resource, name: string): Classification {
    const own = this.#classifications.get(name) ?? classify(resource);
    const all = this.#labels.get(name);
    return all === undefined || all.size === own.labels.length ? own : { ...own, labels: [...all].sort() };
  }
}

/** Whether the address of a request leads to the resource beside it; addresses of other forms say nothing. */
function isAddressOf(url: string, { resourceType, id }: Resource, method: string): boolean {
  const form = method === 'POST' ? /^\/?([A-Z][A-Za-z]+)$/ : /(?:^|\/)([A-Z][A-Za-z]+)\/([A-Za-z0-9.-]{1,64})$/;
  const [, type, named = id] = form.exec(url) ?? [];
  return type === undefined || (type === resourceType && (id === undefined || id === named));
}

/**
 * One identifier with its system. To pass over any other condition would store twice what the sender wanted once (R4
 * §3.1.0.8.1).
 */
function conditionOf(ifNoneExist: string): Identifier | undefined {
  const conditions = [...new URLSearchParams(ifNoneExist)];
  const [[name, value] = ['', '']] = conditions;
  const bar = value.lastIndexOf('|');
  if (conditions.length !== 1 || name !== 'identifier' || bar < 0 || bar === value.length - 1) return undefined;
  return { system: value.slice(0, bar), value: value.slice(bar + 1) };
}
