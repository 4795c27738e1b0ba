/** Every bound of the CometBFT engine, unit last. */

/** Larger than any block or snapshot chunk that the consensus parameters and the snapshots allow. */
export const abciFrameBytesMax = 32 * 1024 * 1024;
/** Requests of one connection that wait for their answer; above this its socket is not read. */
export const abciWaitingRequestsMax = 8_192;

/** A block of so many is executed well within the time for a proposal. */
export const proposalTransactionsMax = 2_500;
/** CometBFT takes this from the consensus parameters of its genesis; ADR 1 says what `consensus_hash` covers. */
export const proposalBytesMax = 4 * 1024 * 1024;

/** Transactions whose signatures were found good, kept from their first check until their block and a little longer. */
export const verifiedTransactionsMax = 100_000;
export const verifiedBytesMax = 128 * 1024 * 1024;

export const rpcAnswerBytesMax = 16 * 1024 * 1024;
export const rpcTimeoutMs = 10_000;
export const rpcSocketsMax = 64;
/** A member's CometBFT that was restarted has forgotten what waited: it is told again. */
export const resubmitAfterMs = 2_000;
/** So long a submission waits for its block: without enough members no block comes. */
export const submissionWaitMsMax = 30_000;
export const resubmitTransactionsMax = 500;
/** Headers and votes kept from CometBFT's block store. */
export const signedBlocksCached = 64;
/** How long a block's header is asked for while CometBFT is being restarted. */
export const signedBlockWaitMsMax = 5_000;
export const validatorsPerPage = 100;
/** How long receipts wait for the block that proves them. */
export const proofWaitMsMax = 5_000;
/** At heights that this divides every member makes a snapshot. */
export const snapshotEveryBlocksDefault = 1_000;
