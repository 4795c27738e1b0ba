import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  canonicalJson,
  evidenceToJson,
  headerHash,
  LightAttackError,
  type LightBlock,
  LightClient,
  MemoryLightStore,
  msOfTimestamp,
  parseAnchor,
  SalusError,
  type TrustLevel,
  toHex,
} from '@salus/protocol';
import { type AddCommand, examples, type GlobalOptions, integerOption, type Outcome, usageFault } from '../cli.ts';
import { collect, readHandovers, refusal } from './verify.ts';
import { RpcSource } from './verify-light-source.ts';

interface LightCommandOptions extends GlobalOptions {
  anchor: string;
  primary: string;
  witness: string[];
  handover: string[];
  height?: number;
  sequential?: boolean;
  trustLevel?: TrustLevel;
  trustingPeriod?: number;
  store?: string;
  evidence?: string;
}

const dayMs = 86_400_000;
const trustingDaysMax = 20;

function trustLevelOption(text: string): TrustLevel {
  const match = /^([1-9]\d{0,3})\/([1-9]\d{0,3})$/.exec(text);
  if (!match) throw usageFault('--trust-level must be a fraction from 1/3 to 1/1.');
  return { numerator: Number(match[1]), denominator: Number(match[2]) };
}

function readStore(file: string | undefined): MemoryLightStore {
  return file !== undefined && existsSync(file) ? MemoryLightStore.decode(readFileSync(file)) : new MemoryLightStore();
}

/** Whole or not at all: a store cut short would be refused, and trust begin again at the anchor. */
function writeStore(file: string | undefined, store: MemoryLightStore): void {
  if (file === undefined) return;
  writeFileSync(`${file}.new`, store.encode(), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

async function follow(options: LightCommandOptions, store: MemoryLightStore): Promise<LightBlock> {
  const anchor = parseAnchor(readFileSync(options.anchor));
  const handovers = readHandovers(options.handover);
  const primary = new RpcSource(options.primary, anchor.chain, handovers);
  const witnesses = options.witness.map((address) => new RpcSource(address, anchor.chain));
  const nowMs = Date.now();
  const client = await LightClient.open(
    {
      anchor,
      primary,
      witnesses,
      store,
      mode: options.sequential === true ? 'sequential' : 'skipping',
      trustLevel: options.trustLevel,
      trustingPeriodMs: options.trustingPeriod === undefined ? undefined : options.trustingPeriod * dayMs,
      wait: async (ms) => void (await sleep(ms)),
    },
    nowMs,
  );
  if (options.height !== undefined) return await client.verify(options.height, nowMs);
  const latest = (await client.update(nowMs)) ?? (await client.trusted());
  return latest as LightBlock;
}

function verdict({ header, validators }: LightBlock, store: MemoryLightStore): Outcome {
  const time = new Date(msOfTimestamp(header.time)).toISOString();
  const hash = toHex(headerHash(header));
  const { chain, height } = header;
  const value = {
    ok: true,
    chain,
    height,
    time,
    headerHash: hash,
    appHash: toHex(header.appHash),
    validators: validators.length,
    stored: store.heights,
  };
  const text = `Verified. Chain ${chain}, block ${height} of ${time}, ${hash}, signed by ${validators.length} validators' set.`;
  return { value, text };
}

function refused(error: SalusError, evidenceFile: string | undefined): Outcome {
  const outcome = refusal(error);
  if (!(error instanceof LightAttackError)) return outcome;
  const evidence = error.evidence.map(evidenceToJson);
  if (evidenceFile !== undefined) writeFileSync(evidenceFile, canonicalJson(evidence));
  const kinds = error.evidence.map(({ kind, commonHeight }) => `${kind} after block ${commonHeight}`).join('; ');
  return {
    ...outcome,
    value: { ...(outcome.value as object), evidence },
    text: `${outcome.text}\nEvidence: ${kinds}.`,
  };
}

export const addLight: AddCommand = (program, cli) => {
  program
    .command('light')
    .summary('verify the chain of a network, without a node')
    .description(
      "Follows a network's blocks from a trust anchor over CometBFT's RPC, believing none of the sources: enough of the " +
        'trusted validators must have signed, and every witness must have the same block. On a fork it stops and shows ' +
        'the evidence.',
    )
    .requiredOption('--anchor <file>', 'trust anchor')
    .requiredOption('--primary <url>', 'RPC that gives the blocks')
    .requiredOption('--witness <url>', 'RPC of another member to compare with; may be repeated', collect, [])
    .option('--height <number>', 'block to verify (default: the latest)', integerOption('--height', 1, 1e15 - 1))
    .option('--sequential', 'look at every header instead of skipping')
    .option('--trust-level <fraction>', 'part of the trusted power that a skip takes (default: 1/3)', trustLevelOption)
    .option(
      '--trusting-period <days>',
      'how long verified blocks are trusted (default: 14)',
      integerOption('--trusting-period', 1, trustingDaysMax),
    )
    .option('--handover <file>', 'a handover after the anchor; may be repeated', collect, [])
    .option('--store <file>', 'keep what was verified, to go on from there the next time')
    .option('--evidence <file>', 'where evidence of an attack is written')
    .addHelpText(
      'after',
      examples(
        'salus light --anchor anchor.json --primary http://127.0.0.1:26657 --witness http://127.0.0.1:26660',
        'salus light --anchor anchor.json --primary https://one.example --witness https://two.example --store light.json',
      ),
    )
    .action(
      cli.action<LightCommandOptions, []>(async (options) => {
        if (options.witness.length === 0) throw usageFault('Name at least one --witness.');
        // A source cannot bear witness for itself.
        const sources = [options.primary, ...options.witness].map((address) => new RpcSource(address, '').host);
        if (new Set(sources).size < sources.length)
          throw usageFault('Name every source once: each must be another node.');
        try {
          const store = readStore(options.store);
          const block = await follow(options, store);
          writeStore(options.store, store);
          return verdict(block, store);
        } catch (error) {
          if (error instanceof SalusError) return refused(error, options.evidence);
          throw error;
        }
      }),
    );
};
