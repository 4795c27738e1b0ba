/**
 * A member whose program was changed, started in the place of `salus`: the same processes and keys, with an application
 * that does what SALUS_TAMPER says. Only tests start it; what is changed is changed here.
 */
import type { VerifiedTransaction } from '@salus/contracts';
import { DurableApplication } from '@salus/ledger';
import type { AbciHandler, AbciResponse } from '../../../packages/ledger/src/comet/connection.ts';
import { ResponseProcessProposal_ProposalStatus as ProposalStatus } from '../../../packages/ledger/src/comet/generated/tendermint/abci/types_pb.ts';
import { AbciServer } from '../../../packages/ledger/src/comet/server.ts';

const tamperings = ['result', 'proposal', 'withhold'] as const;
export type Tampering = (typeof tamperings)[number];

/** Executes something else than was signed: its results and its state differ from those of the others. */
function executeOtherwise(): void {
  const { prepareProposal, processProposal, finalizeBlock } = DurableApplication.prototype;
  const otherwise = ({ tx, keysUsed }: VerifiedTransaction): VerifiedTransaction => {
    const messages = tx.payload.messages.map((message) =>
      message.type === 'kernel/stamp' ? { ...message, digest: 'Z'.repeat(43) } : message,
    );
    return { tx: { ...tx, payload: { ...tx.payload, messages } }, keysUsed };
  };
  // What was executed for a proposal is not executed again.
  DurableApplication.prototype.prepareProposal = function (candidates, block) {
    return prepareProposal.call(this, candidates.map(otherwise), block);
  };
  DurableApplication.prototype.processProposal = function (transactions, block) {
    return processProposal.call(this, transactions.map(otherwise), block);
  };
  DurableApplication.prototype.finalizeBlock = function (transactions, block) {
    return finalizeBlock.call(this, transactions.map(otherwise), block);
  };
}

/** Changes what CometBFT is answered. */
function answerOtherwise(change: (answer: AbciResponse) => void): void {
  const listen = AbciServer.listen;
  AbciServer.listen = (address, handler, log) => {
    const changed: AbciHandler = async (request) => {
      const answer = await handler(request);
      change(answer);
      return answer;
    };
    return listen.call(AbciServer, address, changed, log);
  };
}

const changes: Record<Tampering, () => void> = {
  result: executeOtherwise,
  /** Puts into its blocks what no block may hold, and finds them in order. */
  proposal: () =>
    answerOtherwise((answer) => {
      if (answer.case === 'prepareProposal') answer.value.txs.push(Buffer.from('{"payload":"","signatures":[]}'));
      if (answer.case === 'processProposal') answer.value.status = ProposalStatus.ACCEPT;
    }),
  /** Leaves everybody's transactions out of its blocks, and gives nobody the snapshots that it says it has. */
  withhold: () =>
    answerOtherwise((answer) => {
      if (answer.case === 'prepareProposal') answer.value.txs = [];
      if (answer.case === 'loadSnapshotChunk') answer.value.chunk = new Uint8Array(0);
    }),
};

const tampering = tamperings.find((name) => name === process.env.SALUS_TAMPER);
if (tampering === undefined) throw new Error(`SALUS_TAMPER must be one of ${tamperings.join(', ')}`);
changes[tampering]();
await import('../../../packages/cli/src/main.ts');
