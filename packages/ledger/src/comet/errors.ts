import { SalusError } from '@salus/protocol';

/** Stable numbers of the CometBFT engine: 460–479 of the ledger's but 466. A number is never reused for another meaning. */
export const CometErrorCodes = {
  abciFrameInvalid: 460,
  genesisDiffers: 461,
  consensusUnreachable: 462,
  consensusRefused: 463,
  consensusAnswerInvalid: 464,
  queryInvalid: 465,
  undecided: 467,
  stateSyncOnly: 468,
} as const;

export type CometErrorName = keyof typeof CometErrorCodes;

const ADVICE: Record<CometErrorName, string> = {
  abciFrameInvalid: 'what came over the application socket is no ABCI 2.0 message; connect an unmodified CometBFT',
  genesisDiffers: 'the genesis of CometBFT is not that of this ledger; use the files of one `salus network init`',
  consensusUnreachable: 'the CometBFT of this member does not answer; it is restarted by itself, try again in a moment',
  consensusRefused: 'the CometBFT of this member did not take it; send it again in a moment',
  consensusAnswerInvalid: 'the CometBFT of this member answered something else; check its version with salus doctor',
  queryInvalid: 'ask /state with a state key as data, for the latest height',
  undecided: 'no block has it yet, other members may be out of reach; send the same bytes again to learn the outcome',
  stateSyncOnly: 'this member has no ledger yet; set up [statesync] in its CometBFT, or start it with an empty one',
};

export function cometError(name: CometErrorName, detail?: string, options?: ErrorOptions): SalusError {
  const text = detail === undefined ? ADVICE[name] : `${ADVICE[name]} (${detail})`;
  return new SalusError(CometErrorCodes[name], text, options);
}
