import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    include: ['tests/foreign/browser/**/*.test.ts'],
    reporters: ['default', 'json'],
    outputFile: { json: 'test-results/browser.vitest.json' },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
