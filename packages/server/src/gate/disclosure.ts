import { type Commitment, canonicalJson, commit, type Did, type JsonValue, utf8 } from '@salus/protocol';
import type { Exit } from './question.ts';

/** What staff does about a patient that gives nothing out, and decides who may. */
export type StaffAct = 'linking' | 'merging';

export const disclosureFormat = 'salus-disclosure/1';

/**
 * One access to one patient's records: what the ledger holds a commitment of and the patient's accounting shows. It is
 * written before anything is released.
 */
export interface Disclosure {
  format: typeof disclosureFormat;
  id: string;
  patient: Did;
  custodian: Did;
  /**
   * `person` where the ledger or this organisation knows them; `name` as the custodian knows them, which for staff under
   * protection is an alias.
   */
  requester: { organization?: Did; person?: Did; name?: string; roles: readonly string[] };
  purpose: string;
  action: string;
  /**
   * `emergency`: a window that was opened while the ledger could not commit; nothing went out yet. `linking`: somebody
   * made a code with which a wallet becomes this patient's. `merging`: somebody had this patient taken for another one.
   */
  exit: Exit | 'emergency' | StaffAct;
  outcome: 'released' | 'denied' | 'opened' | 'written' | 'issued';
  /** Stable reason code of the decision. */
  reason: string;
  basis?: { kind: string; id: string; citation?: string };
  obligations: string[];
  flags: string[];
  /** Ledger ids and versions of what was released; for a denial none. */
  records: [record: string, version: number][];
  /** Commitments of the disclosures that list the rest of a long answer. */
  parts?: string[];
  /** The disclosure that this one is the rest of. */
  partOf?: string;
  timeMs: number;
}

/**
 * `ledger`: its own transaction came first; `batch`: anchored with others behind it; `local`: stays in the log. A refusal
 * released nothing and is local: an entry for this pseudonym on the ledger would tell everybody, the refused first of all,
 * that what was asked for is here.
 */
export type DisclosurePath = 'ledger' | 'batch' | 'local';

/** What is appended to the organisation's synced log: the disclosure and the salt of its commitment. */
export interface LoggedDisclosure {
  disclosure: Disclosure;
  commitment: string;
  salt: string;
  path: DisclosurePath;
}

export function disclosureBytes(disclosure: Disclosure): Uint8Array {
  return utf8(canonicalJson(disclosure as unknown as JsonValue));
}

export function commitDisclosure(disclosure: Disclosure): Commitment {
  return commit(disclosureBytes(disclosure));
}
