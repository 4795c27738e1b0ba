import { createHash, randomBytes } from 'node:crypto';
import { addSignature, type Did, isDid, type Message, parseTransaction, utf8 } from '@salus/protocol';
import { RuleFault } from '../http/problems.ts';
import type { CommittedResult, LedgerAccess } from '../node/ledger-access.ts';
import type { Organization } from '../orgs/organization.ts';
import type { Migration } from '../store/database.ts';
import { AccessErrorCodes } from './errors.ts';
import { withLedger } from './outage.ts';

export const linkingCodeLifeMs = 15 * 60_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const codeChars = 16;
/** Stands where a patient's pseudonym would: the code is for somebody who acts for patients. */
const delegateMark = 'delegate';

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

  createCode(patient: Did, nowMs: number): Promise<{ code: string; expiresMs: number }> {
    return this.#create(patient, nowMs);
  }

  /** A code with which somebody registers who acts for patients. */
  createDelegateCode(nowMs: number): Promise<{ code: string; expiresMs: number }> {
    return this.#create(delegateMark, nowMs);
  }

  async #create(whom: string, nowMs: number): Promise<{ code: string; expiresMs: number }> {
    const code = newCode();
    const expiresMs = nowMs + linkingCodeLifeMs;
    await this.#organization.store.commit(async (tx) => {
      await tx.deleteFrom('linking_codes').where('expires_ms', '<=', nowMs).execute();
      const row = { digest: digestOf(code), did: whom, expires_ms: expiresMs };
      await tx.insertInto('linking_codes').values(row).execute();
    });
    return { code, expiresMs };
  }

  /** The pseudonym that a code is for. */
  async patientOf(code: string, nowMs: number): Promise<Did> {
    const did = await this.#find(code, nowMs);
    if (!isDid(did)) throw new RuleFault(AccessErrorCodes.linkCodeUnknown);
    return did;
  }

  /** Throws where a code is not one for somebody who acts for patients. */
  async checkDelegateCode(code: string, nowMs: number): Promise<void> {
    if ((await this.#find(code, nowMs)) !== delegateMark) throw new RuleFault(AccessErrorCodes.linkCodeUnknown);
  }

  async #find(code: string, nowMs: number): Promise<string | undefined> {
    const codes = this.#organization.store.read.selectFrom('linking_codes').select('did');
    const valid = codes.where('digest', '=', digestOf(code)).where('expires_ms', '>', nowMs);
    return (await valid.executeTakeFirst())?.did;
  }

  /** Countersigns and commits what the wallet signed; the code is used up when that succeeded. */
  async confirm(code: string, transaction: string, nowMs: number): Promise<CommittedResult> {
    const patient = await this.patientOf(code, nowMs);
    return await this.#countersign(code, transaction, (message, signer) => {
      return message.type === 'identity/bindPatient' && message.patient === patient && signer === patient;
    });
  }

  /** The same for somebody who acts for patients: the wallet's own DID is what it registers. */
  async confirmDelegate(code: string, transaction: string, nowMs: number): Promise<CommittedResult> {
    await this.checkDelegateCode(code, nowMs);
    return await this.#countersign(code, transaction, (message, signer) => {
      return message.type === 'identity/registerDelegate' && message.did === signer;
    });
  }

  async #countersign(
    code: string,
    transaction: string,
    fits: (message: Message, signer: Did) => boolean,
  ): Promise<CommittedResult> {
    const bytes = utf8(transaction);
    const { payload, signatures } = parseTransaction(bytes);
    const [message, ...messages] = payload.messages;
    const [signature, ...signers] = signatures;
    const isOne = message !== undefined && signature !== undefined && messages.length + signers.length === 0;
    if (!isOne || !fits(message, signature.did)) throw new RuleFault(AccessErrorCodes.linkTransactionUnfit);
    const signed = await addSignature(bytes, this.#organization.keys.signer());
    const committed = await withLedger(() => this.#ledger.submit(signed));
    if (committed.code !== 0) throw new RuleFault(committed.code, { detail: committed.log });
    await this.#organization.store.commit((tx) =>
      tx.deleteFrom('linking_codes').where('digest', '=', digestOf(code)).execute(),
    );
    return committed;
  }
}
