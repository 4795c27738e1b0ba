import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { indexToken, openColumn, sealColumn } from './columns.ts';
import { flipped, refusal } from './testing.ts';

const key = randomBytes(32);
const place = ['identity', 'name', 'row-1'];
const value = new TextEncoder().encode('Ann Example');

describe('R-REC-5 sealed columns', () => {
  it('refuse another key, another place and any flipped bit', async () => {
    const sealed = sealColumn(key, place, value);
    expect(await refusal(() => openColumn(randomBytes(32), place, sealed))).toBe('columnUnreadable');
    expect(await refusal(() => openColumn(key, ['identity', 'name', 'row-2'], sealed))).toBe('columnUnreadable');
    expect(await refusal(() => openColumn(key, ['identity', 'name\u0000row-1'], sealed))).toBe('columnUnreadable');
    expect(await refusal(() => openColumn(key, place, sealed.subarray(0, 20)))).toBe('columnUnreadable');
    for (let i = 0; i < sealed.length; i++) {
      expect(await refusal(() => openColumn(key, place, flipped(sealed, i, i % 8)))).toBe('columnUnreadable');
    }
  });

  it('give the value back and show nothing of it', () => {
    const sealed = sealColumn(key, place, value);
    expect(openColumn(key, place, sealed)).toEqual(value);
    expect(openColumn(key, place, sealColumn(key, place, new Uint8Array(0)))).toEqual(new Uint8Array(0));
    expect(Buffer.from(sealed).includes('Ann')).toBe(false);
    expect(sealColumn(key, place, value)).not.toEqual(sealed);
  });
});

describe('R-LED-5 index tokens', () => {
  it('depend on key, field and value, and on nothing else', () => {
    const token = indexToken(key, 'code', '44054006');
    expect(token).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(indexToken(key, 'code', '44054006')).toBe(token);
    const others = [
      indexToken(key, 'code', '44054007'),
      indexToken(key, 'code4', '4054006'),
      indexToken(randomBytes(32), 'code', '44054006'),
    ];
    expect(others).not.toContain(token);
  });
});
