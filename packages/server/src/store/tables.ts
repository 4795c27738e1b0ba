import type { Generated } from 'kysely';
import type { Store } from './database.ts';

/** Rows of an organisation's store, as its migrations lay them out. Flags are 0 and 1; times are ms since 1970. */
export interface OrganizationTables {
  notices: { seq: Generated<number>; topic: string; type: string; time_ms: number; data: string };
  cursors: { name: string; position: string };
  patients: { token: string; did: string; sealed: Uint8Array; registered: Generated<number> };
  versions: { seq: Generated<number>; record: string; version: number; blob: string; meta: Uint8Array };
  resources: {
    token: string;
    record: string;
    patient: string | null;
    type: string;
    version: number;
    source: string;
    /** `seq` of the current version. */
    current: number;
    erased: Generated<number>;
  };
  unanchored: { seq: Generated<number>; record: string; version: number; refused: number | null };
  identifiers: { token: string; resource: string };
  sealed_content: { kind: string; id: string; patient: string; sealed: Uint8Array };
  relationships: { patient: string; other: string; kind: string; until_ms: number | null };
  linking_codes: { digest: string; did: string; expires_ms: number };
  accesses: { sequence: number; patient: string; hash: string | null; sealed: Uint8Array };
  inbox: {
    seq: Generated<number>;
    type: string;
    attributes: string;
    tries: Generated<number>;
    next_ms: Generated<number>;
    since_ms: Generated<number>;
    told: Generated<number>;
  };
  staff: { did: string; sealed: Uint8Array };
  log_heads: { sequence: number; hash: string; digest: string; salt: string };
  peer_links: { peer: string; epoch: string; last: number; acknowledged: number };
  peer_outbox: { peer: string; sequence: number; since_ms: number; envelope: Uint8Array };
  peer_inbox: { peer: string; epoch: string; up_to: number };
}

export type OrganizationStore = Store<OrganizationTables>;

/** Sealed payloads of a node, whoever they are for. */
export interface ExchangeTables {
  sealed: {
    commitment: string;
    address: string;
    envelope: Uint8Array;
    sender: string;
    unopened_since_ms: number | null;
  };
}
