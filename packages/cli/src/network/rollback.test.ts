import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cometPath, createSandbox, NodeErrorCodes } from '@salus/server';
import { afterAll, expect, test } from 'vitest';
import { rollBackMember } from './rollback.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-rollback-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('R-LED-8 one block back makes no member of a node with the embedded engine', async () => {
  const data = join(scratch, 'node');
  await createSandbox(data);
  await expect(rollBackMember(data)).rejects.toMatchObject({ code: NodeErrorCodes.inputInvalid });
  expect(existsSync(cometPath(data))).toBe(false);
});
