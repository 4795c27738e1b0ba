import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findComet } from '../../../packages/cli/src/network/comet-binary.ts';
import type { Launch } from '../test-network.ts';

const clockFile = fileURLToPath(new URL('../../../.build/network-clock', import.meta.url));
const probeSeconds = 86_400;

/** Milliseconds since 1970, as a program says it whose clock is wrong by so much. */
function shiftedNowMs(seconds: number): number {
  const args = [String(seconds), process.execPath, '-p', 'Date.now()'];
  return Number(execFileSync(clockFile, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Why no process can have a wrong clock here; undefined where one can. */
export function clocksProblem(): string | undefined {
  if (!existsSync(clockFile)) return 'the program that gives a wrong clock is for x86-64';
  try {
    const isShifted = shiftedNowMs(probeSeconds) - Date.now() > (probeSeconds * 1000) / 2;
    return isShifted ? undefined : 'the clock cannot be made wrong here';
  } catch (error) {
    return `no wrong clocks here: ${(error as { stderr?: string }).stderr ?? error}`;
  }
}

/** What makes a command run with a clock that is wrong by so many seconds. */
export function clockPrefix(seconds: number): string[] {
  return [clockFile, String(seconds)];
}

/** A member whose node and CometBFT both have a wrong clock. `file` becomes the CometBFT that its node starts. */
export function wrongClock(seconds: number, file: string): Launch {
  const binary = findComet();
  if (binary === undefined) throw new Error('there is no CometBFT');
  writeFileSync(file, `#!/bin/sh\nexec '${clockFile}' ${seconds} '${binary}' "$@"\n`);
  chmodSync(file, 0o700);
  return { prefix: clockPrefix(seconds), env: { SALUS_COMETBFT: file } };
}
