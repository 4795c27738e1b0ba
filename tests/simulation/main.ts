/**
 * `npm run sim -- --seed N [--seeds COUNT] [--transactions T] [--faults F] [--jobs J] [--junit FILE] [--trace]`: one
 * simulation after the other, each in one process; `--jobs` shares the seeds out among processes. A seed that fails is
 * printed with its last steps and the command that runs exactly it again.
 */
import './hooks.ts';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { SimulationReport } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    transactions: { type: 'string', default: '500' },
    faults: { type: 'string', default: '4' },
    jobs: { type: 'string', default: '1' },
    junit: { type: 'string' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    plant: { type: 'string' },
  },
});
const [firstSeed, seeds, transactions, faults, jobs] = [
  values.seed,
  values.seeds,
  values.transactions,
  values.faults,
  values.jobs,
].map(Number) as [number, number, number, number, number];
const stepsShown = 15;

function replayCommand(seed: number): string {
  const plant = values.plant === undefined ? '' : ` --plant ${values.plant}`;
  return `npm run sim -- --seed ${seed} --transactions ${transactions} --faults ${faults}${plant} --trace`;
}

function print(report: SimulationReport): void {
  const { seed, failure, digest, blocks, sent, committed, steps, lastSteps } = report;
  const outcome = failure === undefined ? 'ok' : 'FAILED';
  const counts = `${blocks} blocks, ${sent} transactions sent, ${committed} in blocks, ${steps} steps`;
  console.log(`seed ${seed}: ${outcome}, trace ${digest}, ${counts}, faults: ${report.faults.join(' ') || 'none'}`);
  if (failure === undefined) return;
  console.log(lastSteps.slice(-stepsShown).join('\n'));
  console.log(`seed ${seed} fails at step ${steps}: ${failure}\nagain: ${replayCommand(seed)}`);
}

function done(report: SimulationReport): void {
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
}

async function runHere(): Promise<SimulationReport[]> {
  const { simulate } = await import('./simulation.ts');
  const { planted } = await import('./planted.ts');
  const reports: SimulationReport[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    const plant = values.plant === undefined ? {} : planted(values.plant);
    const report = await simulate({ seed, transactions, faults, isLoud: values.trace, ...plant });
    reports.push(report);
    done(report);
  }
  return reports;
}

/** A share of the seeds, by a process of its own. */
function runElsewhere(seed: number, count: number): Promise<SimulationReport[]> {
  const main = fileURLToPath(import.meta.url);
  const plant = values.plant === undefined ? [] : ['--plant', values.plant];
  const args = [main, '--seed', seed, '--seeds', count, '--transactions', transactions, '--faults', faults, '--json'];
  const child = spawn(process.execPath, [...args.map(String), ...plant], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    const reports: SimulationReport[] = [];
    let text = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const report = JSON.parse(line) as SimulationReport;
        reports.push(report);
        done(report);
      }
    });
    child.on('error', reject);
    child.on('close', () => {
      if (reports.length === count) resolve(reports);
      else reject(new Error(`the process of seeds ${seed} to ${seed + count - 1} ended after ${reports.length}`));
    });
  });
}

async function runShared(): Promise<SimulationReport[]> {
  const share = Math.ceil(seeds / jobs);
  const starts = Array.from({ length: Math.ceil(seeds / share) }, (_, job) => firstSeed + job * share);
  const end = firstSeed + seeds;
  const all = await Promise.all(starts.map((start) => runElsewhere(start, Math.min(share, end - start))));
  return all.flat();
}

/** What the seeds reached together: a simulation that meets nothing finds nothing. */
function summary(reports: readonly SimulationReport[]): string {
  const distinct = (lists: readonly string[][]): number => new Set(lists.flat()).size;
  const accepted = distinct(reports.map((report) => Object.keys(report.accepted)));
  const codes = distinct(reports.map((report) => Object.keys(report.codes)));
  const sum = (of: (report: SimulationReport) => number): number => reports.reduce((all, one) => all + of(one), 0);
  const failed = reports.filter(({ failure }) => failure !== undefined).length;
  const counts = `${sum(({ blocks }) => blocks)} blocks, ${sum(({ committed }) => committed)} transactions in blocks`;
  return [
    `${reports.length} seeds, ${failed} failed; ${counts}, ${sum((report) => report.faults.length)} faults;`,
    `${accepted} message types accepted, ${codes} result codes met`,
  ].join(' ');
}

function junit(reports: readonly SimulationReport[]): string {
  const failed = reports.filter(({ failure }) => failure !== undefined);
  const quoted = (text: string): string => text.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
  const cases = reports.map(({ seed, failure }) => {
    const inner = failure === undefined ? '' : `<failure message="${quoted(failure)}"/>`;
    return `  <testcase classname="simulation" name="seed ${seed}">${inner}</testcase>`;
  });
  const head = `<testsuite name="simulation" tests="${reports.length}" failures="${failed.length}" errors="0" skipped="0">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...cases, '</testsuite>', ''].join('\n');
}

const reports = jobs > 1 ? await runShared() : await runHere();
if (!values.json && seeds > 1) console.log(summary(reports));
if (values.junit !== undefined) writeFileSync(values.junit, junit(reports));
process.exitCode = reports.some(({ failure }) => failure !== undefined) ? 1 : 0;
