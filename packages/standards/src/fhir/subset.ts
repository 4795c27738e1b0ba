import { StandardsErrorCodes, standardsError } from '../errors.ts';
import { isObject, type JsonObject, objectsOf, type Resource } from './types.ts';
import { requiredElements } from './validation.ts';

/** Names of elements in one `_elements`. */
export const subsetElementsMax = 64;

/** What of a resource is wanted: `_elements` (R4 §3.1.1.5.9), or `_summary` as `text` or `data` (§3.1.1.5.8). */
export type Subset = { kind: 'elements'; names: readonly string[] } | { kind: 'text' } | { kind: 'data' };

const SUBSETTED: JsonObject = {
  system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue',
  code: 'SUBSETTED',
};
const ALWAYS = ['resourceType', 'id', 'meta'];
/** Without these a part could be read as its opposite. */
const MODIFIERS = ['implicitRules', 'modifierExtension', 'status', 'doNotPerform'];

/** `_elements`: top level names, for all types or as `Type.name`; nothing where none of them is for this type. */
export function elementsSubset(type: string, value: string): Subset {
  const parts = value.split(',').filter((part) => part !== '');
  if (parts.length > subsetElementsMax) throw standardsError(StandardsErrorCodes.searchTooComplex);
  const names = parts.map((part) => {
    const [, ofType, name] = /^(?:([A-Z][A-Za-z]*)\.)?([a-z][A-Za-z0-9]*)$/.exec(part) ?? [];
    if (name === undefined) throw standardsError(StandardsErrorCodes.searchValueInvalid, '_elements');
    return ofType === undefined || ofType === type ? name : '';
  });
  return { kind: 'elements', names: names.filter((name) => name !== '') };
}

/** The part that is wanted, marked as a part: who stores it again must know that it is not whole. */
export function subsetOf(resource: Resource, subset: Subset | undefined): Resource {
  if (subset === undefined) return resource;
  const required = requiredElements(resource.resourceType);
  const isKept = (name: string): boolean => {
    if (subset.kind === 'data') return name !== 'text';
    const wanted = subset.kind === 'text' ? ['text'] : subset.names;
    return [...ALWAYS, ...MODIFIERS, ...required, ...wanted].some((element) => isElement(name, element));
  };
  const kept = Object.entries(resource).filter(([name]) => isKept(name));
  const meta = isObject(resource.meta) ? resource.meta : {};
  const marked = { ...meta, tag: [...objectsOf(meta.tag), SUBSETTED] };
  return { ...Object.fromEntries(kept), resourceType: resource.resourceType, meta: marked };
}

/** Whether a member is an element, what stands beside a primitive (`_name`), or a choice of types (`name[x]`). */
function isElement(member: string, element: string): boolean {
  const name = member.startsWith('_') ? member.slice(1) : member;
  if (!element.endsWith('[x]')) return name === element || isChoiceOf(name, element);
  return isChoiceOf(name, element.slice(0, -3));
}

/** `effective` in `_elements` asks for `effectiveDateTime`. */
const CHOICE_TYPES =
  /^(Base64Binary|Boolean|Canonical|Code|Date|DateTime|Decimal|Id|Instant|Integer|Markdown|Oid|PositiveInt|String|Time|UnsignedInt|Uri|Url|Uuid|Address|Age|Annotation|Attachment|CodeableConcept|Coding|ContactPoint|Count|Distance|Duration|HumanName|Identifier|Money|Period|Quantity|Range|Ratio|Reference|SampledData|Signature|Timing|Dosage)$/;

function isChoiceOf(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && CHOICE_TYPES.test(name.slice(prefix.length));
}
