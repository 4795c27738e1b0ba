import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { governance, iterableReader } from '@salus/contracts';
import {
  canonicalJson,
  type Did,
  type JsonValue,
  type Message,
  SalusError,
  type Signer,
  sha256,
  signTransaction,
  toBase64url,
  utf8,
} from '@salus/protocol';
import { type CommittedResult, type LedgerAccess, NodeErrorCodes, NodeFault, validForMsDefault } from '@salus/server';
import { blocksPushedMax, votingWaitMsMax } from './limits.ts';

/** A member whose key is here. */
export type Voter = { slug: string; did: Did; signer: Signer };

type Opened = { proposal: number; digest: string; deadlineMs: number };

/** After a deadline by the local clock a block is later than it. */
const clockMarginMs = 50;
const updatesPrefix = 'governance/updates/';

/** The members of a ledger that is open here, and what they decide together. */
export class Assembly {
  readonly #ledger: LedgerAccess;
  readonly #chain: string;
  readonly #voters: readonly Voter[];

  constructor(ledger: LedgerAccess, chain: string, voters: readonly Voter[]) {
    this.#ledger = ledger;
    this.#chain = chain;
    this.#voters = voters;
  }

  /** Throws what the ledger refused it with. */
  async submit(messages: Message[], signers: readonly Voter[]): Promise<CommittedResult> {
    const validUntil = this.#nowMs() + validForMsDefault;
    const keys = signers.map(({ signer }) => signer);
    const bytes = await signTransaction({ chain: this.#chain, messages, signers: keys, validUntil });
    const result = await this.#ledger.submit(bytes);
    if (result.code !== 0) throw new SalusError(result.code, result.log);
    return result;
  }

  /**
   * Brings a change into force: proposes it unless it is proposed, votes for it with every key that is here, waits for the
   * end of voting, and executes it. Throws `exportWaits` where voting lasts too long to wait for, `voteLost`.
   */
  async decide(change: governance.Change): Promise<void> {
    const { proposal, digest, deadlineMs } = this.#open(change) ?? (await this.#propose(change));
    if (this.#nowMs() < deadlineMs) await this.#vote(proposal, digest);
    const leftMs = deadlineMs - Date.now();
    if (leftMs > votingWaitMsMax) {
      const until = new Date(deadlineMs).toISOString();
      throw new NodeFault(NodeErrorCodes.exportWaits, `Members vote on proposal ${proposal} until ${until}.`);
    }
    if (leftMs > 0) await sleep(leftMs + clockMarginMs);
    const status = governance.proposalStatus(this.#reader(), proposal, Math.max(deadlineMs, this.#nowMs()));
    if (status !== 'adopted') throw new NodeFault(NodeErrorCodes.voteLost, `Proposal ${proposal} is ${status}.`);
    await this.submit([{ type: 'governance/execute', proposal, digest }], this.#voters.slice(0, 1));
  }

  /** Makes blocks until every change of the validators that was announced has been told to the engine. */
  async passAnnounced(): Promise<void> {
    let announced = 0;
    for (const [key] of this.#ledger.iterate(updatesPrefix)) {
      announced = Math.max(announced, Number(key.slice(updatesPrefix.length)));
    }
    const left = announced - this.#ledger.head().height;
    if (left > blocksPushedMax) {
      throw new NodeFault(NodeErrorCodes.exportWaits, `It takes effect at block ${announced}, ${left} from now.`);
    }
    while (this.#ledger.head().height < announced) {
      const digest = randomBytes(32).toString('base64url');
      await this.submit([{ type: 'kernel/stamp', digest }], this.#voters.slice(0, 1));
    }
  }

  /** The same change in a proposal that is open, or adopted and not executed. */
  #open(change: governance.Change): Opened | undefined {
    const reader = this.#reader();
    const wanted = canonicalJson(change as unknown as JsonValue);
    for (const { proposal: n } of governance.openProposals(reader)) {
      const found = governance.proposal(reader, n);
      const status = governance.proposalStatus(reader, n, this.#nowMs());
      if (!found || (status !== 'open' && status !== 'adopted')) continue;
      if (canonicalJson(found.change as unknown as JsonValue) !== wanted) continue;
      return { proposal: n, digest: found.digest, deadlineMs: found.deadlineMs };
    }
    return undefined;
  }

  /** Signed by all that are here: whoever is named for a validator agrees to it. */
  async #propose(change: governance.Change): Promise<Opened> {
    const reason = toBase64url(sha256(utf8(canonicalJson(change as unknown as JsonValue))));
    const message = { type: 'governance/propose', change: change as unknown as JsonValue, reason, activationHeight: 0 };
    const { outputs } = await this.submit([message], this.#voters);
    return outputs[0] as Opened;
  }

  async #vote(proposal: number, digest: string): Promise<void> {
    for (const voter of this.#voters) {
      if (governance.ballot(this.#reader(), proposal, voter.did)) continue;
      await this.submit([{ type: 'governance/vote', proposal, digest, choice: 'yes' }], [voter]);
    }
  }

  #reader() {
    return iterableReader(this.#ledger);
  }

  #nowMs(): number {
    return Math.max(Date.now(), this.#ledger.head().timeMs);
  }
}
