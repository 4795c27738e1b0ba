import type * as realFs from 'node:fs';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WalletErrorCodes } from './errors.ts';
import { WalletVault } from './wallet-file.ts';
import { emptyState, type WalletState } from './wallet-state.ts';

const power = vi.hoisted(() => ({ cutAt: '' }));

/** The machine loses its power just before the named call of the file system. */
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof realFs>();
  const cutting =
    <A extends unknown[], R>(name: string, call: (...args: A) => R) =>
    (...args: A): R => {
      if (power.cutAt === name) throw new Error('power cut');
      return call(...args);
    };
  return {
    ...fs,
    openSync: cutting('open', fs.openSync),
    writeSync: cutting('write', fs.writeSync as (...args: unknown[]) => number),
    fsyncSync: cutting('fsync', fs.fsyncSync),
    renameSync: cutting('rename', fs.renameSync),
  };
});

const passphrase = 'correct horse battery';
const root = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8';
const made: string[] = [];
let dir: string;
let file: string;
let vault: WalletVault;
let state: WalletState;

const codeOf = (work: () => unknown): number | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { code?: number }).code;
  }
};
const opened = (): WalletState => WalletVault.open(dir, passphrase).state;

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'salus-wallet-')), 'wallet');
  made.push(join(dir, '..'));
  file = join(dir, 'wallet.json');
  state = emptyState(root, 1_700_000_000_000);
  vault = WalletVault.create(dir, passphrase, state);
});
afterEach(() => {
  power.cutAt = '';
});
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

describe('R-IDN-1 the wallet file', () => {
  it('gives back what was written, to the passphrase alone', () => {
    expect(opened()).toEqual(state);
    expect(codeOf(() => WalletVault.open(dir, 'correct horse batterY'))).toBe(WalletErrorCodes.passphraseWrong);
    expect(codeOf(() => WalletVault.open(dir, ''))).toBe(WalletErrorCodes.passphraseWrong);
  });

  it('takes the passphrase in any of its Unicode spellings', () => {
    const other = join(dir, 'umlaut');
    WalletVault.create(other, 'Schlüssel für mich', state);
    expect(WalletVault.open(other, 'Schlüssel für mich'.normalize('NFD')).state).toEqual(state);
  });

  it('says nothing of its content: neither in words nor by its length', () => {
    const before = readFileSync(file, 'utf8');
    expect(before).not.toContain(root);
    for (let n = 0; n < 5; n += 1) {
      state.directives.push({
        id: `directive-${n}`,
        custodian: 'did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA',
        givenMs: n,
        content: {},
      });
    }
    vault.write(state);
    const after = readFileSync(file, 'utf8');
    expect(after).not.toContain('directive-');
    expect(after.length).toBe(before.length);
    expect(statSync(file).mode & 0o077).toBe(0);
  });

  it('refuses a file with any byte changed, cut off, or of another kind', () => {
    const text = readFileSync(file, 'utf8');
    const damaged = [WalletErrorCodes.walletDamaged, WalletErrorCodes.passphraseWrong] as (number | undefined)[];
    const step = Math.ceil(text.length / 12);
    for (let at = 1; at < text.length - 1; at += step) {
      const letter = text[at] === 'A' ? 'B' : 'A';
      writeFileSync(file, text.slice(0, at) + letter + text.slice(at + 1));
      expect(damaged, `byte ${at}`).toContain(codeOf(() => WalletVault.open(dir, passphrase)));
    }
    for (const other of ['', '{}', 'null', text.slice(0, text.length / 2), text.replace('65536', '1048576')]) {
      writeFileSync(file, other);
      expect(damaged).toContain(codeOf(() => WalletVault.open(dir, passphrase)));
    }
    writeFileSync(file, text);
    expect(opened()).toEqual(state);
  });

  it('is not made twice, not of a weak passphrase, and not found where there is none', () => {
    expect(codeOf(() => WalletVault.create(dir, passphrase, state))).toBe(WalletErrorCodes.walletExists);
    const elsewhere = join(dir, 'elsewhere');
    expect(codeOf(() => WalletVault.create(elsewhere, 'short', state))).toBe(WalletErrorCodes.passphraseWeak);
    expect(readdirSync(dir)).toEqual(['wallet.json']);
    expect(codeOf(() => WalletVault.open(elsewhere, passphrase))).toBe(WalletErrorCodes.walletMissing);
  });

  it.each(['open', 'write', 'fsync', 'rename'])(
    'holds the old state after a power cut before %s, and goes on',
    (call) => {
      const changed = { ...state, createdMs: 2 };
      power.cutAt = call;
      expect(() => vault.write(changed)).toThrow('power cut');
      power.cutAt = '';
      const { vault: again, state: kept } = WalletVault.open(dir, passphrase);
      expect(kept).toEqual(state);
      again.write(changed);
      expect(opened()).toEqual(changed);
    },
  );
});
