import type { CometRpc } from './rpc.ts';

/** What a member's CometBFT says of itself at this moment. */
export type ConsensusReport = {
  /** The height that is being decided, the round of votes on it, and the step within that round. */
  height: number;
  round: number;
  step: number;
  peers: number;
  /** 0 where this member is no validator. */
  power: number;
  isCatchingUp: boolean;
  mempoolTransactions: number;
  mempoolBytes: number;
};

type StatusAnswer = { sync_info: { catching_up: boolean }; validator_info: { voting_power: string } };
type ConsensusAnswer = { round_state: { 'height/round/step': string } };
type MempoolAnswer = { total: string; total_bytes: string };

/** Four questions at once (CometBFT RPC). Throws `consensusUnreachable` where nobody answers. */
export async function consensusReport(rpc: CometRpc): Promise<ConsensusReport> {
  const [status, network, consensus, mempool] = (await Promise.all([
    rpc.call('status'),
    rpc.call('net_info'),
    rpc.call('consensus_state'),
    rpc.call('num_unconfirmed_txs'),
  ])) as [StatusAnswer, { n_peers: string }, ConsensusAnswer, MempoolAnswer];
  const [height = 0, round = 0, step = 0] = consensus.round_state['height/round/step'].split('/').map(Number);
  return {
    height,
    round,
    step,
    peers: Number(network.n_peers),
    power: Number(status.validator_info.voting_power),
    isCatchingUp: status.sync_info.catching_up,
    mempoolTransactions: Number(mempool.total),
    mempoolBytes: Number(mempool.total_bytes),
  };
}
