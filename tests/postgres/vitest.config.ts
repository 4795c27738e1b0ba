import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** The tests of everything that writes rows, over PostgreSQL, and those of PostgreSQL itself. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: [
      'packages/server/src/{store,gate,records,access}/*.test.ts',
      'packages/server/src/backup/online-backup.test.ts',
      'tests/postgres/*.test.ts',
      'tests/crash/kill.test.ts',
    ],
    setupFiles: ['tests/property-seed.ts'],
    reporters: ['default', 'json'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
