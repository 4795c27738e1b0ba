import type { RequestFinalizeBlock } from './generated/tendermint/abci/types_pb.ts';
import { BlockIDFlag } from './generated/tendermint/types/validator_pb.ts';

export type Signers = { validators: number; power: number; missing: number; missingPower: number };

/** How many validators signed the block before, and how many did not or voted for none (ABCI, CommitInfo). */
export function signersOf({ decidedLastCommit }: Pick<RequestFinalizeBlock, 'decidedLastCommit'>): Signers {
  const votes = decidedLastCommit?.votes ?? [];
  const powerOf = (some: typeof votes): number =>
    some.reduce((sum, vote) => sum + Number(vote.validator?.power ?? 0n), 0);
  const absent = votes.filter(({ blockIdFlag }) => blockIdFlag !== BlockIDFlag.BLOCK_ID_FLAG_COMMIT);
  return { validators: votes.length, power: powerOf(votes), missing: absent.length, missingPower: powerOf(absent) };
}
