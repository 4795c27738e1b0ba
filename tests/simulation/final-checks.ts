import {
  decodeCommitmentProof,
  proofKeyOf,
  proofValueOf,
  verifyMembership,
  verifyNonMembership,
  verifyReceipt,
} from '@salus/protocol';
import type { Member } from './member.ts';
import { runs } from './network.ts';
import type { Random } from './random.ts';
import type { Simulation } from './simulation.ts';
import { SimulationFailure } from './trace.ts';

const receiptsCount = 4;
const proofsCount = 4;
/** Reading and executing everything again takes as long as a quarter of the run: not in each. */
const wholeChance = 0.3;

/** What must hold when everybody is back: nothing lost, everything provable, the same from genesis again. */
export class FinalChecks {
  readonly #simulation: Simulation;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  async run(random: Random): Promise<void> {
    const { members, network, watcher } = this.#simulation;
    for (const member of members) this.#checkPresence(member);
    const wrong = watcher.compareAll(random.pick(members));
    if (wrong.length > 0) this.#fail(`at the end: ${wrong.slice(0, 5).join('; ')}`);
    await this.#checkProofs(random.pick(members), random);
    await this.#checkReceipts(random);
    if (random.chance(wholeChance)) await this.#checkWhole(random.pick(members));
    network.trace.note('checked');
  }

  #fail(message: string): never {
    throw new SimulationFailure(message);
  }

  /** Every decided transaction that ran is found by its hash, at its place; no other is found there. */
  #checkPresence(member: Member): void {
    const { network } = this.#simulation;
    const base = member.baseHeight;
    for (const { height, hashes, unfit } of network.chain.slice(base)) {
      for (const [index, hash] of hashes.entries()) {
        const place = member.application?.state.place(hash);
        const isThere = place?.height === height && place.index === index;
        if (isThere === unfit.has(index))
          this.#fail(`${member.name} ${isThere ? 'lists' : 'lost'} ${hash} of block ${height}`);
      }
    }
  }

  async #checkProofs(member: Member, random: Random): Promise<void> {
    const { network, watcher } = this.#simulation;
    const root = network.rootAfter(network.height());
    const dids = watcher.model.identity.parties.keys();
    const keys = Array.from({ length: proofsCount }, () => `identity/participant/${random.pick(dids)}`);
    for (const key of [...keys, 'identity/participant/nobody']) {
      const answer = await member.ask('query', { path: '/state', data: Buffer.from(key), prove: true });
      const proof = decodeCommitmentProof(answer?.proofOps?.ops[0]?.data ?? new Uint8Array(0));
      const isProven =
        proof.kind === 'existence'
          ? verifyMembership(root, proof, proofKeyOf(key), proofValueOf(answer?.value ?? new Uint8Array(0)))
          : verifyNonMembership(root, proof, proofKeyOf(key));
      if (!isProven || (proof.kind === 'existence') !== (key !== 'identity/participant/nobody')) {
        this.#fail(`${member.name} cannot prove ${key}`);
      }
    }
  }

  async #checkReceipts(random: Random): Promise<void> {
    const { network, embedded } = this.#simulation;
    const { ledger } = embedded;
    if (!ledger) this.#fail('the embedded engine is not there');
    const filled = network.chain.filter(runs);
    for (let count = 0; count < receiptsCount; count += 1) {
      const { height, hashes, unfit } = random.pick(filled);
      const hash = random.pick(hashes.filter((_hash, index) => !unfit.has(index)));
      const report = verifyReceipt(await ledger.receipt(hash), ledger.anchor());
      const isOfIt = report.height === height && report.transaction?.hash === hash;
      if (!isOfIt) this.#fail(`the receipt of ${hash} in block ${height} is of something else`);
    }
  }

  /** Everything on the disks fits together, and executed again from genesis gives the same. */
  async #checkWhole(member: Member): Promise<void> {
    const { embedded, network } = this.#simulation;
    const { application } = member;
    const view = application?.state.durable;
    if (!application || !view || !embedded.ledger) this.#fail('a member is not there');
    const reports = [application.doctor(), await embedded.ledger.doctor()];
    if (member.baseHeight === 0) reports.push(application.replay());
    const problems = [...reports.flatMap((report) => report.problems), ...application.kernel.invariants(view)];
    if (problems.length > 0) this.#fail(`${member.name}: ${problems.slice(0, 5).join('; ')}`);
    network.trace.note('whole', member.name);
  }
}
