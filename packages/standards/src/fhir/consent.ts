import { StandardsErrorCodes, standardsError } from '../errors.ts';
import { isObject, type JsonObject, type JsonValue, listOf, objectsOf, type Resource, textOf } from './types.ts';

/**
 * A directive as the consent contract defines it (format `salus-directive/1`), declared here by its structure because
 * this package and the contracts do not know each other.
 */
type DirectiveSelection = { categories?: string[]; labels?: string[]; records?: string[] };
type DirectiveGrantee =
  | { kind: 'person'; id: string }
  | { kind: 'role'; id: string; within?: string }
  | { kind: 'organization'; id: string }
  | { kind: 'careTeam' }
  | { kind: 'anyone' };
export type DirectiveContent = {
  format: 'salus-directive/1';
  id: string;
  patient: string;
  custodian: string;
  effect: 'permit' | 'deny';
  grantees: DirectiveGrantee[];
  what: DirectiveSelection & {
    all?: boolean;
    except?: DirectiveSelection;
    period?: { fromMs?: number; untilMs?: number };
  };
  purposes: string[];
  actions: ('read' | 'correct' | 'share' | 'compute')[];
  fromMs?: number;
  untilMs?: number;
  usesMax?: number;
  condition?: { kind: 'referral' | 'encounter' | 'prescription' | 'enrolment'; id: string };
  obligations?: ('notify' | 'noRedisclosure' | 'deidentifiedOnly')[];
  issuer: string;
  text?: string;
  language?: string;
  readingLevel?: number;
};

const V3_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
const V3_ACT = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const ACTION = 'http://terminology.hl7.org/CodeSystem/consentaction';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const SCOPE = 'http://terminology.hl7.org/CodeSystem/consentscope';
const DID_SYSTEM = 'urn:ietf:rfc:3986';
const CATEGORY_SYSTEM = 'urn:salus:category';
const ROLE_SYSTEM = 'urn:salus:role';
const RECORD_SYSTEM = 'urn:salus:record';
const DIRECTIVE_SYSTEM = 'urn:salus:directive';
const OBLIGATION_SYSTEM = 'urn:salus:obligation';
const CARE_TEAM = 'careTeam';
const ANYONE = 'anyone';
const EXTENSION = 'urn:salus:directive:';

/** Consent actions of R4; `share` is what R4 calls disclose, `compute` and `correct` are nearest to these. */
const ACTION_CODES = { read: 'access', correct: 'correct', share: 'disclose', compute: 'use' } as const;

export type ConsentOptions = {
  /** Consent.status: a directive's standing on the ledger. Default active. */
  status?: 'active' | 'inactive' | 'entered-in-error';
  /** ISO time at which the patient signed. */
  dateTime?: string;
};

/**
 * FHIR Consent R4 for a directive. The base rule is the opposite of the effect, and one provision says who, what, why
 * and how long (R4 §6.2.1). What Consent has no element for (uses, condition, obligations, reading level, exceptions)
 * stands in extensions, so that nothing is lost on the way there and back.
 */
export function consentOfDirective(directive: DirectiveContent, options: ConsentOptions = {}): Resource {
  return {
    resourceType: 'Consent',
    id: safeId(directive.id),
    ...(directive.language ? { language: directive.language } : {}),
    ...(directive.text ? { text: { status: 'additional', div: narrative(directive.text) } } : {}),
    extension: extensionsOf(directive),
    identifier: [{ system: DIRECTIVE_SYSTEM, value: directive.id }],
    status: options.status ?? 'active',
    scope: { coding: [{ system: SCOPE, code: 'patient-privacy' }] },
    category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0', display: 'Consent Document' }] }],
    patient: logicalReference('Patient', directive.patient),
    ...(options.dateTime ? { dateTime: options.dateTime } : {}),
    performer: [logicalReference('Patient', directive.issuer)],
    organization: [logicalReference('Organization', directive.custodian)],
    policyRule: { coding: [{ system: V3_ACT, code: directive.effect === 'permit' ? 'OPTIN' : 'OPTOUT' }] },
    provision: provisionOf(directive),
  };
}

function provisionOf(directive: DirectiveContent): JsonObject {
  const { what, fromMs, untilMs, purposes, actions } = directive;
  const securityLabel = (what.labels ?? []).map((code) => ({ system: V3_ACT, code }));
  const categories = (what.categories ?? []).map((code) => ({ system: CATEGORY_SYSTEM, code }));
  const records = (what.records ?? []).map((value) => ({
    meaning: 'instance',
    reference: { identifier: { system: RECORD_SYSTEM, value } },
  }));
  const except = what.except ? exceptProvision(directive.effect, what.except) : undefined;
  return {
    type: directive.effect,
    ...(fromMs === undefined && untilMs === undefined ? {} : { period: periodOf(fromMs, untilMs) }),
    actor: directive.grantees.map(actorOf),
    ...(actions.length > 0
      ? { action: actions.map((action) => ({ coding: [{ system: ACTION, code: ACTION_CODES[action] }] })) }
      : {}),
    ...(securityLabel.length > 0 ? { securityLabel } : {}),
    ...(purposes.length > 0 ? { purpose: purposes.map((code) => ({ system: V3_REASON, code })) } : {}),
    ...(categories.length > 0 ? { class: categories } : {}),
    ...(what.period ? { dataPeriod: periodOf(what.period.fromMs, what.period.untilMs) } : {}),
    ...(records.length > 0 ? { data: records } : {}),
    ...(except ? { provision: [except] } : {}),
  };
}

/** An exception is a nested provision of the opposite type. */
function exceptProvision(effect: DirectiveContent['effect'], except: DirectiveSelection): JsonObject {
  const labels = (except.labels ?? []).map((code) => ({ system: V3_ACT, code }));
  const categories = (except.categories ?? []).map((code) => ({ system: CATEGORY_SYSTEM, code }));
  const records = (except.records ?? []).map((value) => ({
    meaning: 'instance',
    reference: { identifier: { system: RECORD_SYSTEM, value } },
  }));
  return {
    type: effect === 'permit' ? 'deny' : 'permit',
    ...(labels.length > 0 ? { securityLabel: labels } : {}),
    ...(categories.length > 0 ? { class: categories } : {}),
    ...(records.length > 0 ? { data: records } : {}),
  };
}

function actorOf(grantee: DirectiveGrantee): JsonObject {
  const role = (code: string) => ({ coding: [{ system: PARTICIPATION, code }] });
  switch (grantee.kind) {
    case 'person':
      return { role: role('IRCP'), reference: logicalReference('Practitioner', grantee.id) };
    case 'organization':
      return { role: role('IRCP'), reference: logicalReference('Organization', grantee.id) };
    case 'role': {
      const coding = [{ system: ROLE_SYSTEM, code: grantee.id }];
      const within = grantee.within ?? ANYONE;
      return { role: { coding }, reference: logicalReference('Organization', within) };
    }
    case 'careTeam':
      return { role: role('IRCP'), reference: logicalReference('CareTeam', CARE_TEAM) };
    case 'anyone':
      return { role: role('IRCP'), reference: logicalReference('Group', ANYONE) };
  }
}

function logicalReference(type: string, value: string): JsonObject {
  return { type, identifier: { system: value.startsWith('did:') ? DID_SYSTEM : DIRECTIVE_SYSTEM, value } };
}

function periodOf(fromMs: number | undefined, untilMs: number | undefined): JsonObject {
  return {
    ...(fromMs === undefined ? {} : { start: new Date(fromMs).toISOString() }),
    ...(untilMs === undefined ? {} : { end: new Date(untilMs).toISOString() }),
  };
}

function extensionsOf(directive: DirectiveContent): JsonObject[] {
  const { usesMax, condition, obligations, readingLevel, text, what } = directive;
  const extensions: JsonObject[] = [];
  const add = (name: string, value: JsonObject) => extensions.push({ url: `${EXTENSION}${name}`, ...value });
  if (usesMax !== undefined) add('usesMax', { valuePositiveInt: usesMax });
  if (condition)
    add('condition', { valueIdentifier: { system: `${EXTENSION}${condition.kind}`, value: condition.id } });
  for (const code of obligations ?? []) add('obligation', { valueCoding: { system: OBLIGATION_SYSTEM, code } });
  if (readingLevel !== undefined) add('readingLevel', { valuePositiveInt: readingLevel });
  if (text !== undefined) add('text', { valueString: text });
  if (what.all !== undefined) add('all', { valueBoolean: what.all });
  return extensions;
}

/** An id of R4 from a directive's id. */
function safeId(id: string): string {
  return id.replace(/[^A-Za-z0-9\-.]/g, '-').slice(0, 64);
}

function narrative(text: string): string {
  const escaped = text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  return `<div xmlns="http://www.w3.org/1999/xhtml">${escaped}</div>`;
}

/**
 * The directive that a Consent says; throws `consentInvalid` or `consentUnsupported` where it says something that a
 * directive cannot (several provisions side by side, expressions, verification rules), since guessing would decide
 * about a patient. A Consent made by `consentOfDirective` comes back exactly.
 */
export function directiveOfConsent(consent: Resource): DirectiveContent {
  if (consent.resourceType !== 'Consent' || !isObject(consent.provision)) throw invalid();
  const { provision } = consent;
  const effect = textOf(provision.type);
  if (effect !== 'permit' && effect !== 'deny') throw invalid();
  const id = identifierValue(objectsOf(consent.identifier)[0]);
  const patient = identifierOf(consent.patient);
  const custodian = identifierOf(objectsOf(consent.organization)[0]);
  if (!id || !patient || !custodian) throw invalid();
  const extensions = objectsOf(consent.extension);
  const obligations = extensions
    .filter(({ url }) => url === `${EXTENSION}obligation`)
    .map(({ valueCoding }) => (isObject(valueCoding) ? textOf(valueCoding.code) : undefined));
  const period = millisOf(provision.period);
  const actors = objectsOf(provision.actor);
  return withoutUndefined({
    format: 'salus-directive/1',
    id,
    patient,
    custodian,
    effect,
    // A provision without actors applies to everybody (R4 §6.2.10, Consent.provision.actor).
    grantees: actors.length > 0 ? actors.map(granteeOf) : [{ kind: 'anyone' }],
    what: whatOf(provision, effect, extensions),
    purposes: codesOf(provision.purpose),
    actions: objectsOf(provision.action).map(actionOf),
    fromMs: period?.fromMs,
    untilMs: period?.untilMs,
    usesMax: numberExtension(extensions, 'usesMax'),
    condition: conditionOf(extensions),
    obligations: obligations.length > 0 ? (obligations as DirectiveContent['obligations']) : undefined,
    issuer: identifierOf(objectsOf(consent.performer)[0]) ?? patient,
    text: textOf(extensionOf(extensions, 'text')?.valueString),
    language: textOf(consent.language),
    readingLevel: numberExtension(extensions, 'readingLevel'),
  });
}

function invalid() {
  return standardsError(StandardsErrorCodes.consentInvalid);
}

function unsupported() {
  return standardsError(StandardsErrorCodes.consentUnsupported);
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}

function whatOf(provision: JsonObject, effect: string, extensions: JsonObject[]): DirectiveContent['what'] {
  const nested = objectsOf(provision.provision);
  if (nested.length > 1 || nested.some(({ type }) => type === effect)) throw unsupported();
  if (nested.some((inner) => inner.actor ?? inner.purpose ?? inner.action ?? inner.period ?? inner.provision)) {
    throw unsupported();
  }
  const selection = selectionOf(provision);
  const all = extensionOf(extensions, 'all')?.valueBoolean;
  const open = selection.categories === undefined && selection.labels === undefined && selection.records === undefined;
  // A provision that narrows nothing speaks of the whole record (R4 §6.2.1).
  const whole = typeof all === 'boolean' ? all : open ? true : undefined;
  return withoutUndefined({
    all: whole,
    ...selection,
    except: nested[0] ? selectionOf(nested[0]) : undefined,
    period: millisOf(provision.dataPeriod),
  });
}

function selectionOf(provision: JsonObject): DirectiveSelection {
  if (objectsOf(provision.code).length > 0) throw unsupported();
  const labels = codesOf(provision.securityLabel);
  const categories = codesOf(provision.class);
  const records = objectsOf(provision.data).map(({ meaning, reference }) => {
    const value = identifierOf(reference);
    if (meaning !== 'instance' || value === undefined) throw unsupported();
    return value;
  });
  return withoutUndefined({
    categories: categories.length > 0 ? categories : undefined,
    labels: labels.length > 0 ? labels : undefined,
    records: records.length > 0 ? records : undefined,
  });
}

function granteeOf(actor: JsonObject): DirectiveGrantee {
  const reference = isObject(actor.reference) ? actor.reference : {};
  const id = identifierOf(reference) ?? textOf(reference.reference);
  const role = isObject(actor.role) ? objectsOf(actor.role.coding)[0] : undefined;
  if (id === undefined) throw unsupported();
  if (role?.system === ROLE_SYSTEM && typeof role.code === 'string') {
    return { kind: 'role', id: role.code, ...(id === ANYONE ? {} : { within: id }) };
  }
  const type = textOf(reference.type) ?? id.split('/')[0];
  if (type === 'CareTeam') return { kind: 'careTeam' };
  if (type === 'Group' && id === ANYONE) return { kind: 'anyone' };
  if (type === 'Organization') return { kind: 'organization', id };
  if (type === 'Practitioner' || type === 'PractitionerRole' || type === 'RelatedPerson' || type === 'Patient') {
    return { kind: 'person', id };
  }
  throw unsupported();
}

function actionOf(concept: JsonObject): DirectiveContent['actions'][number] {
  const code = codesOf(concept.coding)[0];
  const found = (Object.entries(ACTION_CODES) as [DirectiveContent['actions'][number], string][]).find(
    ([, action]) => action === code,
  );
  if (!found) throw unsupported();
  return found[0];
}

function conditionOf(extensions: JsonObject[]): DirectiveContent['condition'] {
  const identifier = extensionOf(extensions, 'condition')?.valueIdentifier;
  if (!isObject(identifier)) return undefined;
  const kind = textOf(identifier.system)?.slice(EXTENSION.length);
  const id = textOf(identifier.value);
  const known = kind === 'referral' || kind === 'encounter' || kind === 'prescription' || kind === 'enrolment';
  if (!known || id === undefined) throw unsupported();
  return { kind, id };
}

function extensionOf(extensions: JsonObject[], name: string): JsonObject | undefined {
  return extensions.find(({ url }) => url === `${EXTENSION}${name}`);
}

function numberExtension(extensions: JsonObject[], name: string): number | undefined {
  const value = extensionOf(extensions, name)?.valuePositiveInt;
  return typeof value === 'number' ? value : undefined;
}

function codesOf(value: JsonValue | undefined): string[] {
  const codes: string[] = [];
  for (const coding of listOf(value)) {
    const code = isObject(coding) ? textOf(coding.code) : undefined;
    if (code !== undefined) codes.push(code);
  }
  return codes;
}

function identifierValue(identifier: JsonObject | undefined): string | undefined {
  return identifier ? textOf(identifier.value) : undefined;
}

/** The identifier of a logical reference, or the text of a literal one. */
function identifierOf(reference: JsonValue | undefined): string | undefined {
  if (!isObject(reference)) return undefined;
  if (isObject(reference.identifier)) return textOf(reference.identifier.value);
  return textOf(reference.reference);
}

function millisOf(period: JsonValue | undefined): { fromMs?: number; untilMs?: number } | undefined {
  if (!isObject(period)) return undefined;
  const fromMs = typeof period.start === 'string' ? Date.parse(period.start) : undefined;
  const untilMs = typeof period.end === 'string' ? Date.parse(period.end) : undefined;
  if (Number.isNaN(fromMs ?? 0) || Number.isNaN(untilMs ?? 0)) throw invalid();
  return withoutUndefined({ fromMs, untilMs });
}
