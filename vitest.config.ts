import { defineConfig } from 'vitest/config';

/** Many starts of real nodes, a disk that fills: some minutes. `SALUS_LONG=1` adds them. */
const longTests = ['tests/crash/data-directory.test.ts', 'tests/crash/disk-full.test.ts'];

/** Everything that needs nothing but the lockfile; suites that need servers or other languages run by `.ci/run`. */
export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'],
    exclude: [
      '**/node_modules/**',
      'tests/foreign/**',
      'tests/network/**',
      'tests/postgres/**',
      ...(process.env.SALUS_LONG === undefined ? longTests : []),
    ],
    setupFiles: ['tests/property-seed.ts'],
    reporters: ['default', 'json'],
    outputFile: { json: 'test-results/vitest.json' },
    pool: 'forks',
    maxWorkers: 2,
    // An eighth of the time went into loading the same modules for every file. Files share nothing but them.
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A disk that stands still for seconds is no fault of what is tested.
    expect: { poll: { timeout: 60_000 } },
  },
});
