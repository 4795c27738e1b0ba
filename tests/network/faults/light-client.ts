import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseGenesis } from '@salus/contracts';
import { fromBase64url, ProofErrorCodes, type Validator } from '@salus/protocol';
import { openDirectory, readSeed } from '@salus/server';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { networkStatus } from '../../../packages/cli/src/network/network-status.ts';
import { salus } from '../../crash/real-node.ts';
import type { TestMember, TestNetwork } from '../test-network.ts';
import { clockPrefix, clocksProblem } from './clocks.ts';
import { evidenceIn, logged, until } from './fault-network.ts';
import { Forger, type Forgery } from './forger.ts';
import { sharedNetwork } from './shared-network.ts';

type Verdict = { ok?: boolean; code?: number; height?: number; headerHash?: string };

const changedPower = 12;
const daySeconds = 86_400;
const clocks = clocksProblem();
if (clocks !== undefined) console.log(`skipped: ${clocks}`);

let network: TestNetwork;
let anchor: string;
/** From this height on the set of validators is another than that of genesis. */
let changed: number;
/** A block that everybody has, with the set as it was changed. */
let height: number;
let seeds: Uint8Array[];
let genesisSet: Validator[];
const forgers: Forger[] = [];

beforeAll(async () => {
  network = await sharedNetwork();
  const [one] = network.members as [TestMember];
  anchor = join(network.dir, 'anchor.json');
  writeFileSync(anchor, Buffer.from(await (await fetch(`${one.url}/api/anchor`)).arrayBuffer()));
  changed = await network.votePower(one, changedPower);
  height = (await one.height()) - 1;
  await network.reaches(height + 1);
  seeds = network.members.map(({ member }) => readSeed(member.dataDir));
  const { validators } = parseGenesis(openDirectory(one.member.dataDir).genesis());
  genesisSet = validators.map(({ publicKey, power }) => ({ publicKey: fromBase64url(publicKey), power }));
});
afterEach(async () => {
  await Promise.all(forgers.splice(0).map((forger) => forger.stop()));
});

function honest(index: number): string {
  return `http://127.0.0.1:${network.members[index]!.member.ports.rpc}`;
}

async function forger(forgery: Forgery): Promise<string> {
  const made = await Forger.start(network.members[0]!.member.ports.rpc, forgery);
  forgers.push(made);
  return made.url;
}

async function light(
  primary: string,
  witnesses: readonly string[],
  { args = [], prefix = [] }: { args?: readonly string[]; prefix?: readonly string[] } = {},
): Promise<Verdict & { exitCode: number | null }> {
  const named = witnesses.flatMap((url) => ['--witness', url]);
  const about = ['--anchor', anchor, '--primary', primary, ...named, '--height', String(height), '--json', ...args];
  const { exitCode, stdout } = await salus(['light', ...about], { prefix });
  return { ...(JSON.parse(stdout) as Verdict), exitCode };
}

const { lightAttack, lightExpired, validatorsUntrusted } = ProofErrorCodes;

describe('R-LED-2 R-LED-3 salus light, shown forged headers by a source that is not believed', () => {
  test('follows the true chain, skipping and looking at every header', async () => {
    const skipping = await light(honest(0), [honest(1)]);
    const sequential = await light(honest(2), [honest(3)], { args: ['--sequential'] });
    expect(skipping).toMatchObject({ ok: true, exitCode: 0, height });
    expect(sequential.headerHash).toBe(skipping.headerHash);
    expect(height).toBeGreaterThan(changed);
  });

  test.each([
    ['one of four validators', 1],
    ['two of four validators', 2],
  ])('refuses what %s signed', async (_who, signers) => {
    const primary = await forger({ fromHeight: height, signers: seeds.slice(4 - signers) });
    for (const args of [[], ['--sequential']]) {
      const verdict = await light(primary, [honest(1)], { args });
      expect(verdict).toMatchObject({ ok: false, exitCode: 1 });
      expect(verdict.code).not.toBe(lightAttack);
    }
  });

  test('refuses an earlier set of validators, all of whom signed', async () => {
    const validators = genesisSet;
    const primary = await forger({ fromHeight: height, signers: seeds, validators });
    const sequential = await light(primary, [honest(1)], { args: ['--sequential'] });
    expect(sequential).toMatchObject({ ok: false, exitCode: 1, code: validatorsUntrusted });
    // A skip counts the power that was trusted at genesis; there the witness shows the true block.
    const colluding = await forger({ fromHeight: height, signers: seeds.slice(1), validators });
    const skipping = await light(colluding, [honest(1)]);
    expect(skipping).toMatchObject({ ok: false, exitCode: 1, code: lightAttack });
  });

  test.skipIf(clocks !== undefined)(
    'refuses everything once trust is too old, whoever signed and bears witness',
    async () => {
      const forgery = { fromHeight: 2, signers: seeds };
      const [primary, witness] = [await forger(forgery), await forger(forgery)];
      const prefix = clockPrefix(2 * daySeconds);
      const args = ['--trusting-period', '1'];
      const verdict = await light(primary, [witness], { args, prefix });
      expect(verdict).toMatchObject({ ok: false, exitCode: 1, code: lightExpired });
      // It is the age that counts: the same clock with a longer period follows the true chain.
      const longer = await light(honest(0), [honest(1)], { args: ['--trusting-period', '3'], prefix });
      expect(longer).toMatchObject({ ok: true, height });
    },
  );

  test('drops a witness with a forged block of too few, and believes the others', async () => {
    const witness = await forger({ fromHeight: height, signers: seeds.slice(3) });
    expect(await light(honest(0), [witness, honest(1)])).toMatchObject({ ok: true, height });
  });

  test('three of four collude: one honest witness stops it, and its evidence ends up in a block', async () => {
    const [one] = network.members as [TestMember];
    const from = await one.height();
    const primary = await forger({ fromHeight: height, signers: seeds.slice(1) });
    const file = join(network.dir, 'evidence.json');
    const verdict = await light(primary, [honest(1)], { args: ['--evidence', file] });
    expect(verdict).toMatchObject({ ok: false, exitCode: 1, code: lightAttack });
    expect(existsSync(file) && JSON.parse(readFileSync(file, 'utf8'))).toHaveLength(2);
    await until('evidence of the attack stands in a block', async () => {
      await one.commit(await one.stamp());
      const evidence = await evidenceIn(one, from, await one.height());
      return evidence.some(({ type }) => type === 'tendermint/LightClientAttackEvidence');
    });
    await network.reaches((await one.commit(await one.stamp())).height);
    const told = network.members.map((member) =>
      logged(member, 'validator-misbehaved').filter(({ type }) => type === 2),
    );
    expect(told.every(({ length }) => length > 0)).toBe(true);
    const { members } = await networkStatus(network.network);
    const accused = members.filter(({ faults }) => faults?.some(({ kind }) => kind === 'light-client-attack'));
    expect(accused.map(({ slug }) => slug)).toEqual(network.members.slice(1).map(({ member }) => member.slug));
    // A witness that colludes is found out by an honest source just as well.
    const reverse = await light(honest(0), [await forger({ fromHeight: height, signers: seeds.slice(1) })]);
    expect(reverse).toMatchObject({ ok: false, code: lightAttack });
  });
});
