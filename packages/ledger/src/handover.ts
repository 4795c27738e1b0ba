import { draftHandover, type Handover, type LightBlock, msOfTimestamp, type Validator } from '@salus/protocol';
import { BlockReader } from './block-reader.ts';
import { genesisValidators } from './directory.ts';
import type { DurableApplication } from './durable-application.ts';

/** Block time rises with every block, and the first block of the new validators has exactly the time that is signed. */
const firstBlockDelayMs = 1;

/** The last block of a chain that the embedded engine made, with its votes. */
async function lastBlock(application: DurableApplication): Promise<LightBlock> {
  const blocks = new BlockReader(application.scan, application.state);
  const { header, commit } = await blocks.existing(application.info().height);
  return { header, commit, validators: genesisValidators(application.genesis) };
}

/**
 * The unsigned handover of an embedded chain as it stands on the disk. It follows from the last block and the new
 * validators alone, so that whoever makes it again signs nothing else. Throws `handoverLastBlock` where the last block is
 * not an empty one.
 */
export async function draftLedgerHandover(
  application: DurableApplication,
  validators: readonly Validator[],
): Promise<Handover> {
  const last = await lastBlock(application);
  return draftHandover(last, { timeMs: msOfTimestamp(last.header.time) + firstBlockDelayMs, validators });
}
