/**
 * Pseudonyms of one patient at several custodians cannot be put together (R-LED-5, R-IDN-1). Wallets, node, ledger and
 * contracts are the real ones; time is simulated. The adversary sees every byte of the ledger with times, senders, sizes
 * and graph, the sealed envelopes, and everything that one custodian can open.
 *
 * What is assumed: as many patients decide on the same day as there are here. A patient who acts alone for days is
 * found by the clock, whatever the wallet does.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Choice, emptyState, giveEverywhere, link, sendDue, Wallet } from '@salus/cli';
import { deriveContext, fromBase64url, generateRootSecret, parseTransaction, toBase64url, utf8 } from '@salus/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { sqliteLocation } from '../../packages/server/src/store/location.ts';
import { dayMs, hourMs, World } from '../scenarios/world.ts';

const custodians = ['hospital', 'clinic', 'practice', 'health-office'] as const;
type Slug = (typeof custodians)[number];
/** The custodian whose whole database the adversary has. */
const broken: Slug = 'hospital';
const linkingDays = 60;
/** A text that more of the transactions share than this says nothing of one patient. */
const commonShare = 0.2;

/** What the adversary has of one pseudonym. */
interface Trace {
  person: number;
  custodian: Slug;
  boundMs: number;
  grantedMs: number;
  rank: number;
  size: number;
  envelopeSize: number;
  expiresMs: number;
  uses: number;
  texts: Set<string>;
}

interface Sides {
  /** Switched off: one key everywhere instead of one for each context. */
  sameKeys?: boolean;
  /** Switched off: everything is sent at the moment of the decision. */
  atOnce?: boolean;
}

let world: World | undefined;
afterEach(async () => {
  vi.useRealTimers();
  await world?.close();
  world = undefined;
});

function moveTo(world: World, timeMs: number): void {
  world.clockMs = timeMs;
  vi.setSystemTime(timeMs);
}

/** A wallet as `salus wallet` has it, without a file: passphrases are made to be slow. */
function newWallet({ sameKeys = false }: Sides, nowMs: number): Wallet {
  const root = generateRootSecret();
  const vault = { write: () => undefined };
  const wallet: Wallet = Reflect.construct(Wallet, [vault, emptyState(toBase64url(root), nowMs)]);
  if (sameKeys) wallet.keys = async () => await deriveContext(fromBase64url(wallet.state.root), 'everywhere');
  return wallet;
}

async function importPatients(world: World, count: number): Promise<void> {
  for (const slug of custodians) {
    const entry = Array.from({ length: count }, (_, person) => ({
      resource: { resourceType: 'Patient', id: `${slug}-${person}`, name: [{ family: `Example${person}` }] },
    }));
    const bundle = utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
    const report = await world.records(slug).import(async function* () {
      yield bundle;
    });
    expect(report.rejected).toBe(0);
  }
}

interface Plan {
  atMs: number;
  act(): Promise<unknown>;
}

/** Everybody goes to each custodian on some day of two months and links there. */
function linkPlans(world: World, wallets: readonly Wallet[], startMs: number): Plan[] {
  return wallets.flatMap((wallet, person) =>
    custodians.map((slug) => ({
      atMs: startMs + Math.floor(Math.random() * linkingDays * dayMs),
      async act() {
        const patient = world.records(slug).patients.byId(`${slug}-${person}`)!.did;
        const { code } = await world.desk(slug).linking.createCode(patient, world.nowMs);
        await link(wallet, world.node.url, slug, code, world.nowMs);
      },
    })),
  );
}

async function carryOut(world: World, plans: Plan[]): Promise<void> {
  for (const plan of plans.sort((a, b) => a.atMs - b.atMs)) {
    moveTo(world, Math.max(plan.atMs, world.nowMs));
    await plan.act();
  }
}

const choice: Choice = {
  effect: 'permit',
  grantees: [{ kind: 'role', id: 'doctor' }],
  what: { all: true },
  purposes: ['TREAT'],
  actions: ['read'],
};

/** On one day everybody decides the same for all their custodians; wallets send it when it is due. */
async function decideAll(world: World, wallets: readonly Wallet[], sides: Sides): Promise<void> {
  const startMs = world.nowMs + dayMs;
  const untilMs = startMs + 200 * dayMs;
  const decisions = wallets.map((wallet) => ({
    wallet,
    atMs: startMs + Math.floor(Math.random() * dayMs),
  }));
  const plans = decisions.flatMap(({ wallet, atMs }) => {
    giveEverywhere(wallet, { ...choice, untilMs }, atMs);
    if (sides.atOnce === true) for (const one of wallet.state.scheduled) one.dueMs = atMs;
    return wallet.state.scheduled.map(({ dueMs }) => ({
      atMs: dueMs,
      act: () => sendDue(wallet, world.nowMs),
    }));
  });
  await carryOut(world, plans);
  expect(wallets.every(({ state }) => state.scheduled.length === 0 && state.directives.length === 4)).toBe(true);
}

/** All texts in a value, at any depth. */
function textsOf(value: unknown, into: Set<string> = new Set()): Set<string> {
  if (typeof value === 'string') into.add(value);
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) textsOf(one, into);
  return into;
}

type Seen = { boundMs: number; grantedMs: number; size: number; texts: Set<string>; commitment: string } & Pick<
  Trace,
  'expiresMs' | 'uses'
>;

/** Reads the ledger from the first block, as anybody can. */
async function readLedger(world: World): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  const of = (patient: string): Seen => {
    const known = seen.get(patient) ?? {
      boundMs: 0,
      grantedMs: 0,
      size: 0,
      expiresMs: 0,
      uses: 0,
      commitment: '',
      texts: new Set<string>(),
    };
    seen.set(patient, known);
    return known;
  };
  for (let height = 1; height <= world.node.ledger.head().height; height += 1) {
    const block = await world.node.ledger.block(height);
    for (const { bytes, timeMs, events } of block?.transactions ?? []) {
      const { payload, signatures } = parseTransaction(bytes);
      for (const message of payload.messages) {
        if (message.type !== 'identity/bindPatient' && message.type !== 'consent/grant') continue;
        const one = of(String(message.patient));
        for (const text of textsOf([payload, events, signatures.map(({ kid }) => kid)])) one.texts.add(text);
        if (message.type === 'identity/bindPatient') one.boundMs = timeMs;
        else {
          const { expiresMs, uses, commitment } = message;
          Object.assign(one, { grantedMs: timeMs, size: bytes.length, expiresMs, uses, commitment });
        }
      }
    }
  }
  return seen;
}

/** What the broken custodian can open about its own patients is added to what the ledger says of them. */
async function tracesOf(world: World, wallets: readonly Wallet[]): Promise<Trace[]> {
  const seen = await readLedger(world);
  const sizes = envelopeSizes(world);
  const traces: Trace[] = [];
  for (const slug of custodians) {
    const opened = await world.records(slug).content.about(wallets.map((wallet) => wallet.context(slug).did));
    const here = wallets.map((wallet, person) => {
      const { did } = wallet.context(slug);
      const one = seen.get(did)!;
      if (slug === broken) {
        const { patients } = world.records(slug);
        textsOf([opened.get(did)?.of('directive'), patients.byDid(did)], one.texts);
      }
      return { ...one, person, custodian: slug, envelopeSize: sizes.get(one.commitment)!, rank: 0 };
    });
    here.sort((a, b) => a.grantedMs - b.grantedMs);
    for (const [rank, one] of here.entries()) one.rank = rank;
    traces.push(...here);
  }
  return withoutCommon(traces);
}

/** Sizes of the sealed envelopes that lie at the node, by commitment. */
function envelopeSizes(world: World): Map<string, number> {
  const database = new DatabaseSync(join(world.node.dataRoot, 'exchange', 'sealed.sqlite'), { readOnly: true });
  const rows = database.prepare('SELECT commitment, length(envelope) AS size FROM sealed').all();
  database.close();
  return new Map(rows.map(({ commitment, size }) => [String(commitment), Number(size)]));
}

function withoutCommon(traces: Trace[]): Trace[] {
  const counts = new Map<string, number>();
  for (const { texts } of traces) for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const isTelling = (text: string): boolean => (counts.get(text) ?? 0) <= Math.max(8, traces.length * commonShare);
  return traces.map((trace) => ({ ...trace, texts: new Set([...trace.texts].filter(isTelling)) }));
}

/** How much two traces look like one person, by each thing that an adversary may go by; larger is more alike. */
const features: Record<string, (a: Trace, b: Trace) => number> = {
  'shared texts: keys, senders, commitments, tokens': (a, b) => [...a.texts].filter((text) => b.texts.has(text)).length,
  'time of the directives': (a, b) => -Math.abs(a.grantedMs - b.grantedMs),
  'time of linking': (a, b) => -Math.abs(a.boundMs - b.boundMs),
  'order among the directives': (a, b) => -Math.abs(a.rank - b.rank),
  'size of the transaction': (a, b) => -Math.abs(a.size - b.size),
  'size of the envelope': (a, b) => -Math.abs(a.envelopeSize - b.envelopeSize),
  'expiry and uses': (a, b) => Number(a.expiresMs === b.expiresMs) + Number(a.uses === b.uses),
  'texts, then time': (a, b) =>
    [...a.texts].filter((text) => b.texts.has(text)).length * 1e12 - Math.abs(a.grantedMs - b.grantedMs),
};

/** Area under the ROC curve: the chance that a pair of one person looks more alike than a pair of two; ties count half. */
function areaUnderCurve(scores: readonly [score: number, same: boolean][]): number {
  const sorted = [...scores].sort(([a], [b]) => a - b);
  let rankSum = 0;
  let positives = 0;
  for (let from = 0; from < sorted.length; ) {
    let to = from;
    while (to < sorted.length && sorted[to]![0] === sorted[from]![0]) to += 1;
    for (let at = from; at < to; at += 1) {
      if (!sorted[at]![1]) continue;
      positives += 1;
      rankSum += (from + to + 1) / 2;
    }
    from = to;
  }
  const negatives = sorted.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

function attack(traces: readonly Trace[]): Record<string, number> {
  const areas: Record<string, number> = {};
  for (const [name, alike] of Object.entries(features)) {
    const scores: [number, boolean][] = [];
    for (const [at, a] of traces.entries()) {
      for (const b of traces.slice(at + 1)) {
        if (a.custodian !== b.custodian) scores.push([alike(a, b), a.person === b.person]);
      }
    }
    areas[name] = areaUnderCurve(scores);
  }
  return areas;
}

async function play(patients: number, sides: Sides): Promise<Record<string, number>> {
  vi.useFakeTimers({ toFake: ['Date'] });
  // The adversary reads the file of the exchange as it lies there.
  world = await World.create({}, sqliteLocation);
  moveTo(world, world.nowMs);
  await importPatients(world, patients);
  const wallets = Array.from({ length: patients }, () => newWallet(sides, world!.nowMs));
  await carryOut(world, linkPlans(world, wallets, world.nowMs + hourMs));
  await decideAll(world, wallets, sides);
  for (const slug of custodians) await world.desk(slug).facts.ready();
  return attack(await tracesOf(world, wallets));
}

describe('R-LED-5 R-IDN-1 four pseudonyms of one patient', () => {
  it('cannot be put together: 200 patients, the same directive everywhere', { timeout: 1_200_000 }, async () => {
    const areas = await play(200, {});
    for (const [name, area] of Object.entries(areas)) {
      // Either way round would be a hint.
      expect(Math.max(area, 1 - area), name).toBeLessThanOrEqual(0.55);
    }
  });

  it('could be without blinding and spreading: the attack works', { timeout: 1_200_000 }, async () => {
    const areas = await play(40, { sameKeys: true, atOnce: true });
    expect(areas['shared texts: keys, senders, commitments, tokens']).toBeGreaterThanOrEqual(0.9);
    expect(areas['time of the directives']).toBeGreaterThanOrEqual(0.9);
    expect(areas['order among the directives']).toBeGreaterThanOrEqual(0.9);
  });
});
