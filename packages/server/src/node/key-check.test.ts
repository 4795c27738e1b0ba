import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKernel, parseGenesis, type StateReader, stateReader } from '@salus/contracts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKey, saveKey, setKeyState } from '../orgs/keys.ts';
import { genesisMembers, organizationPaths } from '../orgs/organization.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { openDirectory, validatorKeyPath } from './data-directory.ts';
import { keyProblems, validatorKeyProblems } from './key-check.ts';
import { createSandbox } from './sandbox.ts';

const temporary = temporaryDirectory();
const root = join(temporary.path, 'node');
const keysDirectory = organizationPaths(root, 'hospital').keys;
let state: StateReader;

beforeAll(async () => {
  await createSandbox(root);
  const entries = createKernel().genesis(parseGenesis(openDirectory(root).genesis()));
  state = stateReader({ get: (key) => entries.get(key) });
});
afterAll(() => temporary.remove());

const member = () => {
  const found = genesisMembers(openDirectory(root).genesis()).find(({ slug }) => slug === 'hospital');
  if (!found) throw new Error('no hospital');
  return found;
};

/** A refusal to read counts: doctor reports it with its number. */
function found(examine: () => string[]): string[] {
  try {
    return examine();
  } catch (error) {
    return [String(error)];
  }
}

/** Flips one bit of every byte in turn, but of those that `skip` names by what stands around them. */
function flips(file: string, examine: () => string[], skip?: RegExp): string[] {
  const whole = readFileSync(file, 'utf8');
  const skipped = skip?.exec(whole);
  const missed: string[] = [];
  for (let at = 0; at < whole.length - 1; at += 1) {
    if (skipped && at >= skipped.index && at < skipped.index + skipped[0].length) continue;
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] as number) ^ 4;
    writeFileSync(file, bytes);
    if (found(examine).length === 0) missed.push(`${file} byte ${at}: ${whole.slice(at - 10, at + 10)}`);
  }
  writeFileSync(file, whole);
  return missed;
}

describe('R-LED-1 R-IDN-1 key files', () => {
  test('are in order as they were made', () => {
    expect(keyProblems(root, member(), state)).toEqual([]);
    expect(validatorKeyProblems(root)).toEqual([]);
  });

  test('with any bit flipped that means something are found, with and without the ledger', () => {
    for (const name of readdirSync(keysDirectory).filter((one) => /^(sign|auth|encrypt)-/.test(one))) {
      // When a key was made is a note; nothing depends on it.
      const file = join(keysDirectory, name);
      for (const known of [state, undefined]) {
        expect(flips(file, () => keyProblems(root, member(), known), /"createdMs": \d+/)).toEqual([]);
      }
    }
    expect(flips(validatorKeyPath(root), () => validatorKeyProblems(root))).toEqual([]);
  });

  test('that are whole and not those of the ledger are found', async () => {
    const mine = await generateKey('authenticate', { taken: ['auth-1'] });
    saveKey(keysDirectory, mine);
    expect(keyProblems(root, member(), state)).toEqual([]);
    setKeyState(keysDirectory, mine, 'registered');
    expect(keyProblems(root, member(), state).join()).toContain('auth-2 is not the one that the ledger has');
    setKeyState(keysDirectory, mine, 'pending');
    const file = join(keysDirectory, 'encrypt-1.json');
    const whole = readFileSync(file, 'utf8');
    const other = { ...(await generateKey('encrypt')), state: 'registered' };
    writeFileSync(file, JSON.stringify(other));
    expect(keyProblems(root, member(), state).join()).toContain('encrypt-1 is not the one that the ledger has');
    writeFileSync(file, whole);
  });

  test('that others can read are found', () => {
    for (const file of [join(keysDirectory, 'sign-1.json'), validatorKeyPath(root)]) {
      chmodSync(file, 0o644);
      expect([...keyProblems(root, member(), state), ...validatorKeyProblems(root)].join()).toContain('read');
      chmodSync(file, 0o600);
    }
  });
});
