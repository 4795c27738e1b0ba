import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson, type JsonValue } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../program.ts';

type Receipt = { [member: string]: JsonValue };
type Vectors = {
  anchor: JsonValue;
  handover: JsonValue;
  receipts: { reason: string; code: number | null; receipt: Receipt }[];
};
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../../../vectors/light-handover.json', import.meta.url), 'utf8'),
);

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), 'salus-verify-'));
  writeFileSync(join(temporary, 'anchor.json'), JSON.stringify(vectors.anchor));
  writeFileSync(join(temporary, 'handover.json'), canonicalJson(vectors.handover));
});
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

async function verify(receipt: Receipt, ...args: string[]) {
  const file = join(temporary, 'receipt.json');
  writeFileSync(file, canonicalJson(receipt));
  const out: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: () => undefined };
  const code = await run(['--json', 'verify', file, ...args], io);
  return { code, json: JSON.parse(out.join('')) };
}

describe('R-LED-1 R-PPL-5 salus verify', () => {
  test.each(vectors.receipts)('a receipt $reason', async ({ receipt, code }) => {
    const answer = await verify(receipt);
    if (code === null) expect(answer).toMatchObject({ code: 0, json: { ok: true, chain: 'salus-faults' } });
    else expect(answer).toMatchObject({ code: 1, json: { ok: false, code } });
  });

  test('a receipt of the network under the anchor of the embedded chain, with the handover that the user holds', async () => {
    const { receipt } = vectors.receipts.find(({ reason }) => reason === 'after it, and it is missing')!;
    const handover = join(temporary, 'handover.json');
    expect(await verify(receipt, '--handover', handover)).toMatchObject({
      code: 0,
      json: { ok: true, proves: ['presence'], height: 4, state: { value: 'after' } },
    });
    const damaged = join(temporary, 'damaged.json');
    writeFileSync(damaged, `${canonicalJson(vectors.handover)}\n`);
    expect(await verify(receipt, '--handover', damaged)).toMatchObject({ code: 1, json: { ok: false, code: 165 } });
    expect(await verify(receipt, '--handover', join(temporary, 'none.json'))).toMatchObject({
      code: 1,
      json: { code: 721 },
    });
  });
});
