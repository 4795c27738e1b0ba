import { createHash, randomBytes } from 'node:crypto';
import { addSignature, type Did, parseTransaction, utf8 } from '@salus/protocol';
import { RuleFault } from '../http/problems.ts';
import type { CommittedResult, LedgerAccess } from '../node/ledger-access.ts';
import type { Organization } from '../orgs/organization.ts';
import type { Migration } from '../store/database.ts';
import { AccessErrorCodes } from './errors.ts';
import { withLedger } from './outage.ts';

export const linkingCodeLifeMs = 15 * 60_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const codeChars = 16;

export const linkingMigrations: readonly Migration[] = [
  {
    name: '0006-linking',
    sql: `
      CREATE TABLE linking_codes (
        digest TEXT PRIMARY KEY,
        did TEXT NOT NULL,
        expires_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
];

/** 80 random bits in groups of four, without look-alikes (RFC 4648 base32). */
function newCode(): string {
  const letters = [...randomBytes(codeChars)].map((byte) => ALPHABET[byte % ALPHABET.length]);
  return letters.join('').replace(/(.{4})(?!$)/g, '$1-');
}

/** The codes are random and short-lived: a plain digest gives nothing away. */
function digestOf(code: string): string {
  return createHash('sha256').update(code).digest('base64url');
}

/**
 * Linking a wallet: a member of staff who checked who somebody is gives them a code; with it the wallet learns its
 * pseudonym, signs identity/bindPatient with its own key, and the custodian countersigns. The code alone links nothing.
 */
export class Linking {
  readonly #organization: Organization;
  readonly #ledger: LedgerAccess;

  constructor(organization: Organization, ledger: LedgerAccess) {
    this.#organization = organization;
    this.#ledger = ledger;
  }

  async createCode(patient: Did, nowMs: number): Promise<{ code: string; expiresMs: number }> {
    const code = newCode();
    const expiresMs = nowMs + linkingCodeLifeMs;
    const { store } = this.#organization;
    await store.commit(() => {
      store.prepare('DELETE FROM linking_codes WHERE expires_ms <= ?').run(nowMs);
      store
        .prepare('INSERT INTO linking_codes (digest, did, expires_ms) VALUES (?, ?, ?)')
        .run(digestOf(code), patient, expiresMs);
    });
    return { code, expiresMs };
  }

  /** The pseudonym that a code is for. */
  patientOf(code: string, nowMs: number): Did {
    const row = this.#organization.store.get(
      'SELECT did FROM linking_codes WHERE digest = ? AND expires_ms > ?',
      digestOf(code),
      nowMs,
    );
    if (row === undefined) throw new RuleFault(AccessErrorCodes.linkCodeUnknown);
    return String(row.did) as Did;
  }

  /** Countersigns and commits what the wallet signed; the code is used up when that succeeded. */
  async confirm(code: string, transaction: string, nowMs: number): Promise<CommittedResult> {
    const patient = this.patientOf(code, nowMs);
    const bytes = utf8(transaction);
    const { payload, signatures } = parseTransaction(bytes);
    const [message] = payload.messages;
    const fits =
      payload.messages.length === 1 &&
      message?.type === 'identity/bindPatient' &&
      message.patient === patient &&
      signatures.length === 1 &&
      signatures[0]?.did === patient;
    if (!fits) throw new RuleFault(AccessErrorCodes.linkTransactionUnfit);
    const signed = await addSignature(bytes, this.#organization.keys.signer());
    const committed = await withLedger(() => this.#ledger.submit(signed));
    if (committed.code !== 0) throw new RuleFault(committed.code, { detail: committed.log });
    const { store } = this.#organization;
    await store.commit(() => {
      store.prepare('DELETE FROM linking_codes WHERE digest = ?').run(digestOf(code));
    });
    return committed;
  }
}
