import { describe, expect, it } from 'vitest';
import { errors, ProtocolErrorCodes, protocolError, SalusError } from './errors.ts';

describe('R-LED-1 errors', () => {
  it('have one number each, below 100, a name and advice', () => {
    const codes = Object.values(ProtocolErrorCodes);
    expect(new Set(codes).size).toBe(codes.length);
    for (const [name, code] of Object.entries(ProtocolErrorCodes)) {
      expect(code).toBeGreaterThan(0);
      expect(code).toBeLessThan(100);
      expect(errors.get(code)?.name).toBe(name);
      expect(errors.get(code)?.advice).toMatch(/^[A-Z].{20,}\.$/);
    }
  });

  it('carry number, name and cause', () => {
    const cause = new Error('inner');
    const error = protocolError(ProtocolErrorCodes.signatureHighS, { cause });
    expect(error).toBeInstanceOf(SalusError);
    expect(error).toMatchObject({ name: 'SalusError', code: 23, cause });
    expect(error.message).toContain('replace s by n − s');
  });
});
