import type { consent } from '@salus/contracts';
import type { Requester } from '../auth/requester.ts';

/** The ways out of a custodian's store. All of them ask the same question and get the same answer. */
export type Exit =
  | 'read'
  | 'search'
  | 'count'
  | 'everything'
  | 'history'
  | 'export'
  | 'summary'
  | 'subscription'
  /** The way in: what is written about a patient is decided and recorded like what is read. */
  | 'write';

/** Who wants what for which purpose. */
export interface Question {
  requester: Requester;
  /** HL7 v3 PurposeOfUse. */
  purpose: string;
  action: consent.Action;
  exit: Exit;
  /** For disclosures required by law: the basis that the requester states. */
  legalBasis?: string;
  /** The authority in whose name the requester asks. */
  authority?: string;
  /** True where the requester asks the patient, and does not try to read. */
  asks?: boolean;
}
