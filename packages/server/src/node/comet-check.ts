import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ed25519PublicKey, equalBytes } from '@salus/protocol';
import { cometPath, type DataDirectory, readHandover } from './data-directory.ts';
import { genesisOf } from './embedded-ledger.ts';

const seedBytes = 32;
const keyAdvice = 'restore it from the escrow of keys';
const resyncAdvice = 'never start without it: `salus network resync` (docs/operating/recovery.md)';

type Json = Record<string, unknown>;
type Rule = { file: string; advice: string; isWhole(json: Json): boolean };

/** A key as CometBFT keeps it: seed and public key in one. */
function isKey(key: unknown): boolean {
  const { value } = (key ?? {}) as { value?: unknown };
  if (typeof value !== 'string') return false;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== 2 * seedBytes) return false;
  return equalBytes(ed25519PublicKey(bytes.subarray(0, seedBytes)), bytes.subarray(seedBytes));
}

function isValidatorKey({ priv_key: secret, pub_key: known }: Json): boolean {
  if (!isKey(secret)) return false;
  const own = Buffer.from((secret as { value: string }).value, 'base64').subarray(seedBytes);
  return (known as { value?: unknown } | undefined)?.value === own.toString('base64');
}

function rulesOf(chain: string): Rule[] {
  return [
    { file: 'config/genesis.json', advice: 'restore it from a backup', isWhole: (json) => json.chain_id === chain },
    { file: 'config/node_key.json', advice: keyAdvice, isWhole: ({ priv_key: secret }) => isKey(secret) },
    { file: 'config/priv_validator_key.json', advice: keyAdvice, isWhole: isValidatorKey },
    {
      file: 'data/priv_validator_state.json',
      advice: resyncAdvice,
      isWhole: ({ height }) => typeof height === 'string' && /^\d+$/.test(height),
    },
  ];
}

function problemOfFile(home: string, { file, advice, isWhole }: Rule): string[] {
  const name = `comet/${file}`;
  if (!existsSync(join(home, file))) return [`${name} is missing: ${advice}`];
  try {
    if (isWhole(JSON.parse(readFileSync(join(home, file), 'utf8')))) return [];
  } catch {
    // The same as any other content that CometBFT cannot use.
  }
  return [`${name} is damaged: ${advice}`];
}

/**
 * What a member's CometBFT needs beside its blocks, which the others have: how it is set up, its keys, and what it signed
 * last. Nothing where the embedded engine makes the blocks.
 */
export function cometProblems(directory: DataDirectory): string[] {
  const { root, manifest } = directory;
  const home = cometPath(root);
  if (!existsSync(home)) {
    const isMember = genesisOf(directory).validators.length > 1 && readHandover(root) === undefined;
    return isMember ? ['comet/ is missing: restore it from a backup and the escrow of keys'] : [];
  }
  const settings = ['salus.json', 'config/config.toml'].filter((file) => !existsSync(join(home, file)));
  return [
    ...settings.map((file) => `comet/${file} is missing: restore it from a backup`),
    ...rulesOf(manifest.chain).flatMap((rule) => problemOfFile(home, rule)),
  ];
}
