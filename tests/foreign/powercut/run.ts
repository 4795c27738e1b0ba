import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Acknowledged, Client, Load, missing, registerDoctor } from '../../crash/load.ts';
import { doctor, RealNode, seeded, sleep } from '../../crash/real-node.ts';
import { cutPower, type Losses } from './journal.ts';

/**
 * Power cuts below a real, unmodified node: `run [CUTS]`. Every cut goes through the same directory: load, SIGKILL, what
 * was not synced is lost by chance, start again, look for everything that was ever acknowledged. With `--lying-disk`
 * syncs count for nothing: the run must fail then, which shows that it would notice.
 */
const isLying = process.argv.includes('--lying-disk');
const cuts = Number(process.argv[2] ?? 10) || 10;
const seed = Number(process.env.SALUS_SEED ?? Math.floor(Math.random() * 2 ** 32));
const random = seeded(seed);
const upMsMax = 3_000;
const at = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'salus-powercut-'));
const dataDir = join(scratch, 'data');
const graves = join(scratch, 'graves');
const acknowledged = new Acknowledged();
const lost: Losses = { sectors: 0, names: 0, lengths: 0 };

interface Cut {
  name: string;
  ms: number;
  problems: string[];
}

function surroundings(journal: string): { env: Record<string, string> } {
  const env = {
    LD_PRELOAD: at('.build/powercut.so'),
    SALUS_POWERCUT_ROOT: dataDir,
    SALUS_POWERCUT_JOURNAL: journal,
    SALUS_POWERCUT_GRAVES: graves,
    // Writes through io_uring would pass below the shim.
    UV_USE_IO_URING: '0',
    ...(isLying ? { SALUS_POWERCUT_LYING_DISK: '1' } : {}),
  };
  return { env };
}

async function oneCut(client: Client, physician: `did:salus:${string}`): Promise<string[]> {
  const journal = join(scratch, 'journal');
  mkdirSync(graves);
  let node = await RealNode.start(dataDir, surroundings(journal));
  const load = new Load(node, client, physician, acknowledged, { random, importShare: 0.2, readShare: 0.3 }).start();
  await sleep(random() * upMsMax);
  await node.kill();
  await load.stop();
  const losses = cutPower(dataDir, journal, graves, random);
  for (const name of ['sectors', 'names', 'lengths'] as const) lost[name] += losses[name];
  rmSync(journal, { force: true });
  rmSync(graves, { recursive: true });

  const examined = await doctor(dataDir);
  node = await RealNode.start(dataDir);
  const problems = [...examined.problems, ...(await missing(node, client, physician, acknowledged))];
  await registerDoctor(node, client);
  await node.stop();
  return [...problems, ...acknowledged.surprises, ...[...acknowledged.refusals.keys()]];
}

function junit(done: readonly Cut[]): string {
  const escaped = (text: string): string => text.replace(/[<>&"]/g, (found) => `&#${found.charCodeAt(0)};`);
  const cases = done.map(({ name, ms, problems }) => {
    const failure = problems.length > 0 ? `<failure>${escaped(problems.slice(0, 20).join('\n'))}</failure>` : '';
    return `  <testcase classname="powercut" name="${name}" time="${ms / 1000}">${failure}</testcase>\n`;
  });
  const failures = done.filter(({ problems }) => problems.length > 0).length;
  const head = `name="power cuts below the real node" tests="${done.length}" failures="${failures}" errors="0" skipped="0"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite ${head}>\n${cases.join('')}</testsuite>\n`;
}

/** The directory is made whole, and has its doctor, before the first cut. */
const first = await RealNode.start(dataDir);
const client = new Client(dataDir);
const physician = await registerDoctor(first, client);
await first.stop();
const done: Cut[] = [];
for (let run = 0; run < cuts && done.every(({ problems }) => problems.length === 0); run += 1) {
  const startMs = performance.now();
  const problems = await oneCut(client, physician).catch((error: Error) => [error.message]);
  console.error(
    `cut ${run + 1} of ${cuts}: ${acknowledged.transactions.size} transactions, lost ${JSON.stringify(lost)}`,
  );
  done.push({ name: `cut ${run + 1} of seed ${seed}`, ms: Math.round(performance.now() - startMs), problems });
}
const replayed = await doctor(dataDir, '--replay').catch((error: Error) => ({ problems: [error.message] }));
done.push({ name: 'replay after the last cut', ms: 0, problems: replayed.problems });
if (!isLying) writeFileSync(at('test-results/powercut.xml'), junit(done));
const problems = done.flatMap((cut) => cut.problems);
const { transactions, imports, readCount } = acknowledged;
const counts = { transactions: transactions.size, imports: imports.size, reads: readCount };
const report = {
  ok: problems.length === 0,
  cuts: done.length - 1,
  seed,
  ...counts,
  lost,
  problems: problems.slice(0, 20),
};
console.log(JSON.stringify(report));
if (report.ok || isLying) rmSync(scratch, { recursive: true });
else console.log(`kept: ${scratch} ${readdirSync(scratch).join(' ')}`);
process.exitCode = report.ok ? 0 : 1;
