import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDirectory, NodeErrorCodes } from '@salus/server';
import { afterAll, describe, expect, test } from 'vitest';
import { createNetwork } from './network-directory.ts';
import { prepareResync } from './resync.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-resync-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('R-LED-8 resync takes nothing from a member that it cannot make anew', () => {
  test('one that runs, also where no supervisor wrote its process id; one whose directory is gone', async () => {
    const network = await createNetwork({ dir: join(scratch, 'net'), validators: 1, basePort: 20_000 });
    const [member] = network.members;
    const { dataDir } = member!;
    const kept = join(dataDir, 'ledger', 'log');
    mkdirSync(join(dataDir, 'ledger'));
    writeFileSync(kept, '');
    const lock = lockDirectory(dataDir);
    await expect(prepareResync(network, member!)).rejects.toMatchObject({ code: NodeErrorCodes.dataDirectoryLocked });
    lock.release();
    // No other member answers; afterwards it can be started.
    await expect(prepareResync(network, member!)).rejects.toMatchObject({ code: NodeErrorCodes.memberUnready });
    lockDirectory(dataDir).release();
    expect(existsSync(kept)).toBe(true);
    rmSync(dataDir, { recursive: true });
    await expect(prepareResync(network, member!)).rejects.toThrow('salus restore');
    expect(existsSync(dataDir)).toBe(false);
  });
});
