import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Acknowledged, Client, Load, missing, readObservation, registerDoctor } from './load.ts';
import { doctor, RealNode, seeded, sleep, temporaryDirectory } from './real-node.ts';

const diskBytes = 256 * 1_048_576;
/** Less than anything but the reserves can take. */
const leftBytes = 128 * 1_024;
const readsWhileFull = 100;
const fillMsMax = 20_000;
const stderrCharsMax = 2_000;
const { path: mountPoint, remove } = temporaryDirectory('disk');

/** Whether this machine lets a test mount a small disk of its own. */
function mounted(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', mountPoint], { stdio: 'ignore' });
    return true;
  } catch {
    remove();
    console.log('skipped: no disk of its own can be mounted here (needs the right to mount a tmpfs)');
    return false;
  }
}

/** Takes all space but a little; gives back what frees it again. */
function fillDisk(): () => void {
  const filler = join(mountPoint, 'filler');
  const { bavail, bsize } = statfsSync(mountPoint);
  try {
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes), 1));
  } catch {
    // The node took some of it at the same time: then the disk is as full as it should be.
  }
  return () => rmSync(filler);
}

const isPossible = mounted();

describe('R-LED-1 R-CON-4 a full disk', () => {
  it.skipIf(!isPossible)(
    'stops acceptance with a numbered error, loses nothing, and goes on when there is room',
    { timeout: 120_000 },
    async () => {
      const dataDir = join(mountPoint, 'data');
      mkdirSync(dataDir);
      try {
        let node = await RealNode.start(dataDir);
        const client = new Client(dataDir);
        const physician = await registerDoctor(node, client);
        const acknowledged = new Acknowledged();
        const options = { random: seeded(7), importShare: 0.3, readShare: 0.2, paddingBytes: 40_000 };
        const load = new Load(node, client, physician, acknowledged, options).start();
        await sleep(2_000);
        expect([...acknowledged.refusals]).toEqual([]);
        const free = fillDisk();
        const untilMs = performance.now() + fillMsMax;
        while (acknowledged.refusals.size === 0 && performance.now() < untilMs) await sleep(200);
        await sleep(1_500);
        await load.stop();
        const refusals = [...acknowledged.refusals.keys()];
        console.log(`refused while full: ${refusals.join(', ')}`);
        expect(refusals.length).toBeGreaterThan(0);
        expect(refusals.filter((name) => !/ 503 /.test(name))).toEqual([]);
        expect(acknowledged.surprises).toEqual([]);

        if (node.hasEnded) throw new Error(`the node ended: ${(await node.kill()).stderr.slice(-stderrCharsMax)}`);
        // In-house treatment goes on in the space that was reserved.
        const [patient = ''] = acknowledged.imports.keys();
        for (let read = 0; read < readsWhileFull; read += 1) {
          expect((await readObservation(node, client, physician, patient)).status).toBe(200);
        }
        free();
        await sleep(2_000);
        const again = new Acknowledged();
        const after = new Load(node, client, physician, again, { random: seeded(8) }).start();
        await sleep(1_500);
        await after.stop();
        const resumed = again.transactions.size;
        await node.stop();
        node = await RealNode.start(dataDir);
        expect((await registerDoctor(node, client)).length).toBeGreaterThan(0);
        for (const [hash, result] of again.transactions) acknowledged.transactions.set(hash, result);
        expect(await missing(node, client, physician, acknowledged)).toEqual([]);
        await node.stop();
        expect(await doctor(dataDir, '--replay')).toMatchObject({ ok: true, problems: [] });
        expect(resumed).toBeGreaterThan(0);
      } finally {
        execFileSync('umount', ['-l', mountPoint]);
        remove();
      }
    },
  );
});
