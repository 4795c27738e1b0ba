import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { ed25519PublicKey, type Message, signTransaction, toBase64url } from '@salus/protocol';
import { createLog, createSandbox, type RunningNode, readOrganization, startNode } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../program.ts';

const votingMs = 60_000;
const slugs = ['hospital', 'clinic', 'payer', 'regulator'] as const;
const scratch = mkdtempSync(join(tmpdir(), 'salus-votes-'));
const data = join(scratch, 'node');
const anchor = join(scratch, 'anchor.json');
const otherAnchor = join(scratch, 'other.json');
/** How far the node's clock is ahead of this machine's. */
let aheadMs = 0;
let node: RunningNode;
let url: string;

beforeAll(async () => {
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, log: createLog('silent'), clockMs: () => Date.now() + aheadMs });
  url = node.url;
  const text = await createClient({ baseUrl: url }).getAnchor({});
  writeFileSync(anchor, text);
  const validators = [{ publicKey: toBase64url(ed25519PublicKey(new Uint8Array(32))), power: 1 }];
  writeFileSync(otherAnchor, JSON.stringify({ ...JSON.parse(text), validators }));
});
afterAll(async () => {
  await node.stop();
  rmSync(scratch, { recursive: true, force: true });
});

type Said = { exit: number; text: string };

async function votes(...args: string[]): Promise<Said> {
  const lines: string[] = [];
  const io = { out: (text: string): void => void lines.push(text), err: (text: string): void => void lines.push(text) };
  return { exit: await run(['network', 'votes', ...args], io), text: lines.join('\n') };
}

const proven = (...args: string[]): Promise<Said> => votes('--url', url, '--anchor', anchor, ...args);

async function json(...args: string[]) {
  return JSON.parse((await proven('--json', ...args)).text);
}

async function submit(slug: string, message: Message): Promise<never> {
  const { keys, directory } = readOrganization(data, slug);
  const { chain } = directory.manifest;
  const signers = [keys.signer()];
  const body = await signTransaction({ chain, messages: [message], signers, validUntil: Date.now() + 240_000 });
  const result = await createClient({ baseUrl: url }).submitTransaction({ query: { wait: 'commit' }, body });
  return ('outputs' in result ? result.outputs[0] : undefined) as never;
}

type Opened = { proposal: number; digest: string; deadlineMs: number };

function propose(slug: string, change: object): Promise<Opened> {
  return submit(slug, { type: 'governance/propose', change, reason: 'A'.repeat(43), activationHeight: 0 } as Message);
}

async function vote(slug: string, { proposal, digest }: Opened, choice: string): Promise<void> {
  await submit(slug, { type: 'governance/vote', proposal, digest, choice } as Message);
}

/** With the command that members vote with; gives its exit code. */
function voteBy(org: string, { proposal }: { proposal: number }, ...how: string[]): Promise<number> {
  const quiet = { out: (): void => undefined, err: (): void => undefined };
  const who = ['--data', data, '--org', org, '--url', url];
  return run(['network', 'vote', String(proposal), ...who, ...how], quiet);
}

const parameter = (value: number) => ({ kind: 'parameter', name: 'requestTimeoutMs', value });

describe('R-LED-6 how a vote stands', () => {
  test('says that there is none, and refuses a number that was never given', async () => {
    expect((await proven()).text).toContain('No proposal was ever made.');
    expect(await json()).toMatchObject({ proposals: [], left: 0 });
    expect(JSON.parse((await proven('0', '--json')).text)).toMatchObject({ code: 835 });
    expect((await proven('x')).exit).toBe(2);
    const malformed = submit('clinic', {
      type: 'governance/vote',
      proposal: 'Jane',
      digest: 'A'.repeat(43),
      choice: 'yes',
    });
    // The advice is to correct what the log names.
    await expect(malformed).rejects.toMatchObject({
      problem: { code: 1007, detail: expect.stringContaining('/proposal must be integer') },
    });
  });

  test('a vote from its opening to the block from which it is in force, as the ledger proves it', async () => {
    const opened = await propose('clinic', parameter(120_000));
    expect(await json('0')).toMatchObject({
      proposal: 0,
      status: 'open',
      what: 'parameter requestTimeoutMs = 120000',
      by: { slug: 'clinic' },
      digest: opened.digest,
      deadlineMs: opened.deadlineMs,
      isAnnounced: false,
      standing: { electorate: 4, voted: 0, quorum: 2, approving: [], approvingNeeded: 2, outcome: 'rejected' },
    });
    await vote('payer', opened, 'no');
    const { text } = await proven();
    expect(text).toMatch(
      /0 {2}open {2}parameter requestTimeoutMs = 120000 {2}by clinic {2}1 of 4 voted {2}votes until/,
    );
    expect(text).toContain('1 more to vote, 2 more classes to approve');
    await vote('hospital', opened, 'yes');
    await vote('regulator', opened, 'yes');
    const whole = (await proven('0')).text;
    expect(whole).toContain('if voting ended now: adopted');
    expect(whole).toContain('approval   2 of 3 classes (provider, regulator), 2 are needed');
    expect(whole).toMatch(/provider +2 +1 +0 +0 +0\n/);
    expect(whole).toContain('have not voted yet: clinic');
    expect(whole).toContain('salus network vote 0 --data DIRECTORY');
    expect(
      (await json('0')).ballots.map(({ slug, choice }: { slug: string; choice?: string }) => [slug, choice]),
    ).toEqual(slugs.map((slug) => [slug, { hospital: 'yes', payer: 'no', regulator: 'yes', clinic: undefined }[slug]]));
    aheadMs += votingMs;
    const { digest } = opened;
    await submit('payer', { type: 'kernel/stamp', digest });
    expect(await json('0')).toMatchObject({ status: 'adopted', standing: { outcome: 'adopted' } });
    expect((await proven('0')).text).toContain('salus network execute 0 ');
    await submit('payer', { type: 'governance/execute', proposal: 0, digest } as Message);
    const executed = await json('0');
    expect(executed).toMatchObject({ status: 'executed', closed: { outcome: 'executed' } });
    expect((await proven()).text).toContain(`in force from block ${executed.closed.height} on`);
    expect((await proven('0')).text).not.toContain('salus network');
  });

  test('what nobody voted for is rejected, and older ones are left out of the list when that is wished', async () => {
    await propose('regulator', parameter(180_000));
    const third = await propose('hospital', parameter(240_000));
    const why = join(scratch, 'why.txt');
    writeFileSync(why, 'because');
    expect(await voteBy('regulator', third, '--choice', 'veto')).toBe(2);
    expect(await voteBy('regulator', third, '--reason', why)).toBe(2);
    expect(await voteBy('regulator', third, '--choice', 'veto', '--reason', join(scratch, 'none'))).toBe(1);
    expect(await voteBy('regulator', { proposal: 77 }, '--choice', 'no')).toBe(1);
    expect(await voteBy('regulator', third, '--choice', 'veto', '--reason', why)).toBe(0);
    expect(await json(String(third.proposal))).toMatchObject({
      standing: { vetoing: ['regulator'], outcome: 'vetoed' },
    });
    expect((await proven()).text).toContain('vetoed by regulator');
    const all = await json();
    expect(
      all.proposals.map(({ proposal, status }: { proposal: number; status: string }) => [proposal, status]),
    ).toEqual([
      [2, 'open'],
      [1, 'open'],
      [0, 'executed'],
    ]);
    expect(await json('--past', '0')).toMatchObject({ left: 1, proposals: [{ proposal: 2 }, { proposal: 1 }] });
    aheadMs += votingMs;
    await submit('payer', { type: 'kernel/stamp', digest: third.digest });
    const over = await json('--past', '1');
    expect(over).toMatchObject({ left: 2, proposals: [{ proposal: 2, status: 'vetoed' }] });
    expect((await proven('--past', '2')).text).toMatch(/1 {2}rejected .*not in force\n {2}1 older ones/s);
  });

  test('is not believed from a node that cannot prove it under the anchor, and needs an anchor', async () => {
    const forged = await votes('--url', url, '--anchor', otherAnchor, '--json');
    expect([forged.exit, JSON.parse(forged.text).title]).toEqual([1, 'validators untrusted']);
    expect(await votes('--url', url)).toMatchObject({ exit: 2 });
    expect(JSON.parse((await votes('--url', url, '--anchor', join(scratch, 'none'), '--json')).text).code).toBe(721);
    expect(JSON.parse((await votes('--dir', join(scratch, 'none'), '--json')).text).code).toBe(745);
    // A directory of the chain is an anchor too.
    const own = JSON.parse((await votes('0', '--url', url, '--data', data, '--json')).text);
    expect(own).toMatchObject({
      proposal: 0,
      status: 'executed',
      chain: JSON.parse(readFileSync(anchor, 'utf8')).chain,
    });
  });
});
