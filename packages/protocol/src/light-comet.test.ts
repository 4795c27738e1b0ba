import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex } from './bytes.ts';
import { verifyEd25519 } from './ed25519.ts';
import {
  type Compared,
  compareBackwards,
  compareClients,
  compareEvidence,
  compareSteps,
  type LightCases,
} from './light-cases.ts';

const dir = new URL('../../../vectors/', import.meta.url);
const cases: LightCases = JSON.parse(readFileSync(new URL('light-cases.json', dir), 'utf8'));
const ed25519: { cases: { name: string; publicKey: string; message: string; signature: string; valid: boolean }[] } =
  JSON.parse(readFileSync(new URL('light-ed25519.json', dir), 'utf8'));

function expectSame(compared: readonly Compared[], least: number): void {
  expect(compared.length).toBeGreaterThanOrEqual(least);
  for (const { name, comet, salus } of compared) expect(salus, name).toEqual(comet);
}

describe("R-LED-1 R-LED-2 R-LED-3 vectors/light-cases.json: CometBFT's light client and ours say the same", () => {
  it('of single steps: valid, forged, expired, from the future, with too little of the trusted power', async () => {
    expectSame(await compareSteps(cases), 100);
    expect(new Set(cases.steps.map(({ verdict }) => verdict))).toEqual(
      new Set(['ok', 'refused', 'untrusted', 'expired']),
    );
  });

  it('of steps backwards by hash', async () => {
    expectSame(await compareBackwards(cases), 16);
  });

  it('of whole clients: honest, troubled and lying sources, with the evidence that they report', async () => {
    expectSame(await compareClients(cases), 100);
    const kinds = new Set(cases.clients.flatMap(({ evidence }) => evidence.map(({ kind }) => kind)));
    expect(kinds).toEqual(new Set(['lunatic', 'equivocation', 'amnesia']));
    const verdicts = new Set(cases.clients.flatMap((given) => given.verdicts));
    for (const verdict of ['ok', 'attack', 'unconfirmed', 'noWitnesses', 'expired', 'refused']) {
      expect(verdicts).toContain(verdict);
    }
  });

  it('of evidence, right and wrong', async () => {
    expectSame(await compareEvidence(cases), 40);
  });
});

describe('R-LED-1 vectors/light-ed25519.json: a signature is valid for us where it is for CometBFT', () => {
  it.each(ed25519.cases)('$name', ({ publicKey, message, signature, valid }) => {
    expect(verifyEd25519(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(valid);
  });
});

describe('R-LED-1 R-LED-2 without Node, as in a browser', () => {
  const { getBuiltinModule } = process;
  const set = (value: unknown) =>
    Object.defineProperty(process, 'getBuiltinModule', { value, configurable: true, writable: true });

  beforeAll(() => {
    vi.resetModules();
    set(undefined);
  });

  afterAll(() => {
    set(getBuiltinModule);
  });

  it('the light client says the same', async () => {
    const own = await import('./light-cases.ts');
    const few = { ...cases, steps: cases.steps.slice(0, 40), clients: cases.clients.slice(0, 12) };
    expectSame(await own.compareSteps(few), 40);
    expectSame(await own.compareClients(few), 12);
  });

  it('every case of vectors/light-ed25519.json', async () => {
    const own = await import('./ed25519.ts');
    expect(own.verifyEd25519).not.toBe(verifyEd25519);
    for (const { name, publicKey, message, signature, valid } of ed25519.cases) {
      expect(own.verifyEd25519(fromHex(publicKey), fromHex(message), fromHex(signature)), name).toBe(valid);
    }
  });
});
