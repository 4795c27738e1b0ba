import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    include: ['tests/network/faults/*.test.ts'],
    reporters: ['default', 'json'],
    outputFile: { json: 'test-results/network-faults.vitest.json' },
    pool: 'forks',
    // Each file runs up to nine processes of its own.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
