import { anchorOfBlock } from './anchor.ts';
import { toHex } from './bytes.ts';
import { headerHash } from './comet.ts';
import { lightBlockFromJson, parseTimestamp, timestampText, validatorFromJson, validatorToJson } from './comet-json.ts';
import type { TrustLevel } from './commit.ts';
import { SalusError } from './errors.ts';
import type { JsonValue } from './json.ts';
import { type LightBlock, trustBlock, verifyBackwards, verifyStep } from './light.ts';
import { LightClient } from './light-client.ts';
import { evidenceHash, type LightEvidence, verifyEvidence } from './light-evidence.ts';
import type { LightProvider } from './light-provider.ts';
import { MemoryLightStore } from './light-store.ts';
import { ProofErrorCodes, type ProofErrorName, proofError } from './proof-errors.ts';

/**
 * Runs the cases that tests/foreign/comet makes (vectors/light-cases.json): what this light client says where
 * CometBFT's has said something. For tests.
 */
type StepCase = {
  name: string;
  trusted: number;
  block: number;
  nowMs: number;
  trustingPeriodMs: number;
  clockDriftMs: number;
  trustLevel: [number, number];
  verdict: string;
};
type ProviderCase = { blocks: Record<string, number>; fails: Record<string, string> };
type EvidenceReport = {
  to: number;
  kind: LightEvidence['kind'];
  conflicting: string;
  commonHeight: number;
  byzantine: JsonValue[];
  totalPower: number;
  time: string;
  hash: string;
};
type ClientCase = Omit<StepCase, 'trusted' | 'block' | 'verdict'> & {
  mode: 'skipping' | 'sequential';
  anchor: number;
  nextValidators: number;
  targets: number[];
  providers: ProviderCase[];
  verdicts: string[];
  hash: string;
  evidence: EvidenceReport[];
};
type EvidenceCase = Omit<EvidenceReport, 'to' | 'conflicting' | 'hash'> & {
  name: string;
  conflicting: number;
  common: number;
  trusted: number;
  verdict: string;
};
export type LightCases = {
  seed: number;
  blocks: JsonValue[];
  steps: StepCase[];
  backwards: { name: string; older: number; trusted: number; verdict: string }[];
  clients: ClientCase[];
  evidence: EvidenceCase[];
};

/** What CometBFT calls what our numbers say; all others are refusals. */
const CLASSES: Partial<Record<ProofErrorName, string>> = {
  lightExpired: 'expired',
  lightTrustMissing: 'untrusted',
  lightAttack: 'attack',
  lightUnconfirmed: 'unconfirmed',
  lightWitnessesMissing: 'noWitnesses',
  lightWitnessConflict: 'witnessConflict',
};
const CLASS_OF_CODE = new Map(
  Object.entries(CLASSES).map(([name, word]) => [ProofErrorCodes[name as ProofErrorName] as number, word]),
);
const FAILS: Record<string, ProofErrorName> = { silent: 'providerSilent', bad: 'providerBadBlock' };

async function verdictOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'ok';
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return CLASS_OF_CODE.get(error.code) ?? 'refused';
  }
}

function levelOf([numerator, denominator]: [number, number]): TrustLevel {
  return { numerator, denominator };
}

/** Blocks are read when they are used: some have no place in our types, and are refused there. */
function reader(cases: LightCases): (place: number) => LightBlock {
  return (place) => lightBlockFromJson(cases.blocks[place] as JsonValue);
}

/** What CometBFT said and what we say, which must be equal. */
export type Compared = { name: string; comet: unknown; salus: unknown };

export async function compareSteps(cases: LightCases): Promise<Compared[]> {
  const at = reader(cases);
  return await Promise.all(
    cases.steps.map(async ({ name, trusted, block, nowMs, trustingPeriodMs, clockDriftMs, trustLevel, verdict }) => {
      const options = { nowMs, trustingPeriodMs, clockDriftMsMax: clockDriftMs, trustLevel: levelOf(trustLevel) };
      const salus = await verdictOf(() => verifyStep(trustBlock(at(trusted)), at(block), options));
      return { name, comet: verdict, salus };
    }),
  );
}

export async function compareBackwards(cases: LightCases): Promise<Compared[]> {
  const at = reader(cases);
  return await Promise.all(
    cases.backwards.map(async ({ name, older, trusted, verdict }) => {
      const salus = await verdictOf(() => verifyBackwards(at(older).header, at(trusted).header));
      return { name, comet: verdict, salus };
    }),
  );
}

/** A provider of a case; what it is told of evidence goes into `reports`. */
function providerOf(
  index: number,
  { blocks, fails }: ProviderCase,
  at: (place: number) => LightBlock,
  chain: string,
  reports: EvidenceReport[],
): LightProvider {
  const latest = Math.max(...Object.keys(blocks).map(Number));
  return {
    chain,
    async lightBlock(asked = latest) {
      if (asked > latest) throw proofError('providerHeightTooHigh');
      const failure = FAILS[fails[asked] ?? ''];
      if (failure) throw proofError(failure);
      const place = blocks[asked];
      if (place === undefined) throw proofError('providerBlockMissing');
      return at(place);
    },
    async reportEvidence(evidence) {
      reports.push({
        // Which of several witnesses found the attack depends on who answered first.
        to: Math.min(index, 1),
        kind: evidence.kind,
        conflicting: toHex(headerHash(evidence.conflicting.header)),
        commonHeight: evidence.commonHeight,
        byzantine: evidence.byzantine.map(validatorToJson),
        totalPower: evidence.totalPower,
        time: timestampText(evidence.time),
        hash: toHex(evidenceHash(evidence)),
      });
    },
  };
}

async function runClient(cases: LightCases, given: ClientCase): Promise<Compared['salus']> {
  const at = reader(cases);
  const anchorBlock = at(given.anchor);
  const anchor = anchorOfBlock(anchorBlock, at(given.nextValidators).validators);
  const evidence: EvidenceReport[] = [];
  const [primary, ...witnesses] = given.providers.map((provider, index) =>
    providerOf(index, provider, at, anchor.chain, evidence),
  );
  const verdicts: string[] = [];
  let hash = '';
  let client: LightClient | undefined;
  const options = {
    anchor,
    primary: primary as LightProvider,
    witnesses,
    store: new MemoryLightStore(),
    mode: given.mode,
    trustLevel: levelOf(given.trustLevel),
    trustingPeriodMs: given.trustingPeriodMs,
    clockDriftMsMax: given.clockDriftMs,
  };
  verdicts.push(
    await verdictOf(async () => {
      client = await LightClient.open(options, given.nowMs);
    }),
  );
  for (const target of client ? given.targets : []) {
    verdicts.push(
      await verdictOf(async () => {
        const block = await client?.verify(target, given.nowMs);
        if (block) hash = toHex(headerHash(block.header));
      }),
    );
  }
  return { verdicts, hash, evidence };
}

export async function compareClients(cases: LightCases): Promise<Compared[]> {
  const compared: Compared[] = [];
  for (const given of cases.clients) {
    const { name, mode, verdicts, hash, evidence } = given;
    const comet = { verdicts, hash, evidence };
    compared.push({ name: `${mode}: ${name}`, comet, salus: await runClient(cases, given) });
  }
  return compared;
}

export async function compareEvidence(cases: LightCases): Promise<Compared[]> {
  const at = reader(cases);
  return await Promise.all(
    cases.evidence.map(async ({ name, kind, conflicting, common, trusted, byzantine, time, verdict, ...rest }) => {
      const salus = await verdictOf(() => {
        const evidence = {
          kind,
          conflicting: at(conflicting),
          byzantine: byzantine.map(validatorFromJson),
          time: parseTimestamp(time),
          commonHeight: rest.commonHeight,
          totalPower: rest.totalPower,
        };
        verifyEvidence(evidence, at(common), at(trusted));
      });
      return { name, comet: verdict, salus: salus === 'ok' ? 'ok' : 'refused' };
    }),
  );
}
