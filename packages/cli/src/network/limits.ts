/** Bounds of `salus network`, unit last. */
export const membersMax = 50;
export const portMin = 1_024;
export const portMax = 65_535;
export const basePortDefault = 26_600;
/** Between the first ports of two members. */
export const portsPerMember = 10;
/** A process that ends is started again after this, twice as long after each time it ended early. */
export const restartDelayMsMin = 200;
export const restartDelayMsMax = 5_000;
/** A member that its operator stopped is looked at so often, whether it may run again. */
export const heldLookMs = 250;
/** A process that ran so long did not end early. */
export const settledMs = 10_000;
export const stopWaitMsMax = 20_000;
/** Longest that is waited for members that were started. */
export const readyWaitMsMax = 120_000;
/** A start that takes longer says whom it waits for. */
export const slowStartMs = 8_000;
export const logFileBytesMax = 16 * 1024 * 1024;
/** Longest path of a Unix socket that every system takes. */
export const socketPathCharsMax = 100;
export const statusTimeoutMs = 3_000;
/** A vote that lasts longer is not waited for: the command is run again. */
export const votingWaitMsMax = 120_000;
/** Blocks that are made for a change to take effect, each with a stamp. */
export const blocksPushedMax = 64;
/** A member with less free space lets its CometBFT rest until there is more again: blocks are up to 4 MiB, kept twice. */
export const diskFreeBytesMin = 32 * 1024 * 1024;
export const diskFreeBytesAgain = 48 * 1024 * 1024;
export const diskWatchMs = 500;
/** CometBFT opens its stores and writes one state. */
export const rollbackTimeoutMs = 60_000;
