import { globSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Many starts of real nodes, a disk that fills: some minutes. `SALUS_LONG=1` adds them. */
const longTests = ['tests/crash/data-directory.test.ts', 'tests/crash/disk-full.test.ts'];

const include = ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'];
const exclude = [
  '**/node_modules/**',
  'tests/foreign/**',
  'tests/network/**',
  'tests/postgres/**',
  ...(process.env.SALUS_LONG === undefined ? longTests : []),
];
/** Files that put something else in the place of a module: nobody may have loaded it before them, nor after. */
const replacing = globSync(include, { cwd: import.meta.dirname }).filter((file) =>
  /\bvi\.(mock|doMock|resetModules)\(/.test(readFileSync(new URL(file, import.meta.url), 'utf8')),
);

/** Everything that needs nothing but the lockfile; suites that need servers or other languages run by `.ci/run`. */
export default defineConfig({
  test: {
    setupFiles: ['tests/property-seed.ts'],
    reporters: ['default', 'json'],
    outputFile: { json: 'test-results/vitest.json' },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A disk that stands still for seconds is no fault of what is tested.
    expect: { poll: { timeout: 60_000 } },
    projects: [
      // An eighth of the time went into loading the same modules for every file.
      { extends: true, test: { name: 'shared', include, exclude: [...exclude, ...replacing], isolate: false } },
      { extends: true, test: { name: 'alone', include: replacing, exclude } },
    ],
  },
});
