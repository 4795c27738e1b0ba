/**
 * The closing line of `.ci/run`: sums the runners' own reports in test-results/ (Vitest JSON, `go test -json` lines,
 * JUnit XML) and exits 1 if a test or a step failed, or if no test ran.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const dir = fileURLToPath(new URL('../test-results/', import.meta.url));
const stepsFile = `${dir}failed-steps.txt`;
const failureLinesMax = 8;
const failedSteps = existsSync(stepsFile) ? readFileSync(stepsFile, 'utf8').trim().split('\n') : [];
let passed = 0;
let failed = 0;
let skipped = 0;
/** One entry for each failed test, told at the end: a runner's own words may be far above. */
const failures: string[] = [];

type VitestFile = { name: string; message: string; assertionResults: VitestTest[] };
type VitestTest = { status: string; fullName: string; failureMessages: string[] };

function addVitest(text: string): void {
  const report = JSON.parse(text);
  for (const file of report.testResults as VitestFile[]) {
    if (file.message !== '') failures.push(`${file.name}: ${file.message}`);
    for (const { status, fullName, failureMessages } of file.assertionResults) {
      if (status === 'failed') failures.push(`${file.name}: ${fullName}\n${failureMessages.join('\n')}`);
    }
  }
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests + (report.numTodoTests ?? 0);
  if (!report.success && report.numFailedTests === 0) failed += 1;
}

function addGo(text: string): void {
  for (const line of text.split('\n').filter((row) => row.startsWith('{'))) {
    const event = JSON.parse(line);
    if (!event.Test) continue;
    if (event.Action === 'pass') passed += 1;
    if (event.Action === 'fail') {
      failed += 1;
      failures.push(`${event.Package}: ${event.Test}`);
    }
    if (event.Action === 'skip') skipped += 1;
  }
}

function addJunit(text: string): void {
  for (const [, attributes = ''] of text.matchAll(/<testsuite ([^>]*)>/g)) {
    const count = (name: string): number => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
    const bad = count('failures') + count('errors');
    passed += count('tests') - bad - count('skipped');
    failed += bad;
    skipped += count('skipped');
  }
  for (const [, name = ''] of text.matchAll(/<testcase [^>]*?\bname="([^"]*)"[^>]*[^/]>\s*<(?:failure|error)/g))
    failures.push(name);
}

for (const name of readdirSync(dir)) {
  const text = readFileSync(dir + name, 'utf8');
  if (name.endsWith('.go.jsonl')) addGo(text);
  else if (name.endsWith('.xml')) addJunit(text);
  else if (name.endsWith('vitest.json')) addVitest(text);
}
for (const failure of failures) console.log(`Failed: ${failure.split('\n').slice(0, failureLinesMax).join('\n')}`);
if (failedSteps.length > 0) console.log(`Steps that failed:\n${failedSteps.join('\n')}`);
if (failed === 0) failed = failedSteps.length;
console.log(`${skipped} skipped`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
