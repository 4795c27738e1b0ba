import type { JsonObject, Resource } from './types.ts';

/** One line of the accounting of disclosures, as the server gives it to the patient. */
export type AccountingEntry = {
  id: string;
  timeMs: number;
  /** What was done to which records. */
  action: 'read' | 'search' | 'export' | 'create' | 'correct' | 'share' | 'compute' | 'erase' | 'breakGlass';
  outcome: 'permitted' | 'denied';
  patient: string;
  custodian: { id: string; name?: string };
  /** Who did it; the name is resolved for the patient alone. */
  requester: { id: string; name?: string; role?: string; organization?: { id: string; name?: string } };
  /** HL7 v3 PurposeOfUse. */
  purpose: string;
  /** What it was allowed by: directive, rule or authority, with the clause of law. */
  basis?: { kind: string; id: string; citation?: string };
  records?: { id: string; type?: string }[];
  /** Transaction on the ledger that proves it, 64 hex digits. */
  transaction?: string;
  /** Recorded while the ledger could not commit, anchored afterwards. */
  late?: boolean;
};

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const AUDIT_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-event-type';
const INTERACTION = 'http://hl7.org/fhir/restful-interaction';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const BALP = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit';
const DID_SYSTEM = 'urn:ietf:rfc:3986';
const TRANSACTION_SYSTEM = 'urn:salus:transaction';
const RECORD_SYSTEM = 'urn:salus:record';

type ActionShape = {
  /** AuditEvent.action (R4 audit-event-action). */
  action: 'C' | 'R' | 'U' | 'D' | 'E';
  subtype: { system: string; code: string };
  profile: string;
};

const ACTIONS: Readonly<Record<AccountingEntry['action'], ActionShape>> = {
  read: { action: 'R', subtype: { system: INTERACTION, code: 'read' }, profile: 'PatientRead' },
  search: { action: 'E', subtype: { system: INTERACTION, code: 'search' }, profile: 'PatientQuery' },
  export: { action: 'R', subtype: { system: DCM, code: '110106' }, profile: 'PrivacyDisclosure.Source' },
  create: { action: 'C', subtype: { system: INTERACTION, code: 'create' }, profile: 'PatientCreate' },
  correct: { action: 'U', subtype: { system: INTERACTION, code: 'update' }, profile: 'PatientUpdate' },
  share: { action: 'R', subtype: { system: DCM, code: '110106' }, profile: 'PrivacyDisclosure.Source' },
  compute: { action: 'E', subtype: { system: INTERACTION, code: 'operation' }, profile: 'PatientQuery' },
  erase: { action: 'D', subtype: { system: INTERACTION, code: 'delete' }, profile: 'PatientDelete' },
  breakGlass: { action: 'R', subtype: { system: DCM, code: '110127' }, profile: 'PatientRead' },
};

/**
 * FHIR AuditEvent by IHE Basic Audit Log Patterns: type, action and profile by what was done; agents are the person,
 * the requesting organisation and the custodian; entities the patient, the records, and the transaction as proof.
 */
export function auditEventOf(entry: AccountingEntry): Resource {
  const { action, subtype, profile } = ACTIONS[entry.action];
  const disclosure = subtype.system === DCM && subtype.code === '110106';
  return {
    resourceType: 'AuditEvent',
    id: entry.id,
    meta: { profile: [`${BALP}.${profile}`] },
    type: disclosure ? { system: DCM, code: '110106', display: 'Export' } : { system: AUDIT_TYPE, code: 'rest' },
    subtype: [subtype],
    action,
    recorded: new Date(entry.timeMs).toISOString(),
    outcome: entry.outcome === 'permitted' ? '0' : '4',
    ...(entry.late ? { outcomeDesc: 'Recorded while the ledger could not commit; anchored afterwards.' } : {}),
    purposeOfEvent: [{ coding: [{ system: REASON, code: entry.purpose }] }],
    agent: agentsOf(entry),
    source: { observer: who('Organization', entry.custodian) },
    entity: entitiesOf(entry),
  };
}

function who(type: string, { id, name }: { id: string; name?: string }): JsonObject {
  return { type, identifier: { system: DID_SYSTEM, value: id }, ...(name ? { display: name } : {}) };
}

function agentsOf({ requester, custodian, basis, purpose }: AccountingEntry): JsonObject[] {
  const participation = (code: string) => ({ coding: [{ system: PARTICIPATION, code }] });
  const person: JsonObject = {
    type: participation('IRCP'),
    ...(requester.role ? { role: [{ coding: [{ system: 'urn:salus:role', code: requester.role }] }] } : {}),
    who: who('Practitioner', requester),
    requestor: true,
    ...(basis ? { policy: [policyOf(basis)] } : {}),
    purposeOfUse: [{ coding: [{ system: REASON, code: purpose }] }],
  };
  const agents = [person];
  if (requester.organization) {
    agents.push({ type: participation('PROV'), who: who('Organization', requester.organization), requestor: false });
  }
  agents.push({ type: participation('CST'), who: who('Organization', custodian), requestor: false });
  return agents;
}

/** AuditEvent.agent.policy is a URI: the kind, id and clause that allowed it. */
function policyOf({ kind, id, citation }: NonNullable<AccountingEntry['basis']>): string {
  const uri = `urn:salus:${encodeURIComponent(kind)}:${encodeURIComponent(id)}`;
  return citation ? `${uri}?citation=${encodeURIComponent(citation)}` : uri;
}

function entitiesOf({ patient, records = [], transaction }: AccountingEntry): JsonObject[] {
  const entities: JsonObject[] = [
    {
      what: who('Patient', { id: patient }),
      type: { system: ENTITY_TYPE, code: '1', display: 'Person' },
      role: { system: OBJECT_ROLE, code: '1', display: 'Patient' },
    },
  ];
  for (const { id, type } of records) {
    entities.push({
      what: { ...(type ? { type } : {}), identifier: { system: RECORD_SYSTEM, value: id } },
      type: { system: ENTITY_TYPE, code: '2', display: 'System Object' },
      role: { system: OBJECT_ROLE, code: '3', display: 'Report' },
    });
  }
  if (transaction) {
    entities.push({
      what: { identifier: { system: TRANSACTION_SYSTEM, value: transaction } },
      type: { system: ENTITY_TYPE, code: '4', display: 'Other' },
    });
  }
  return entities;
}
