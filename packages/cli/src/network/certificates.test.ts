import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Authority } from './certificates.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 4, 5, 6, 7, 8);
const authority = Authority.create('Network of a test', nowMs);
const ca = new X509Certificate(authority.certificate);

/** As OpenSSL reads it. */
function certified(host: string, atMs = nowMs, lifeMs?: number): X509Certificate {
  const { certificate, key } = authority.certify('clinic', host, atMs, lifeMs);
  const read = new X509Certificate(certificate);
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(read.verify(ca.publicKey)).toBe(true);
  expect(read.checkIssued(ca)).toBe(true);
  return read;
}

describe('R-PPL-5 certificates of a network’s own authority, as OpenSSL reads them', () => {
  test('the authority may issue, signs itself and lives ten years', () => {
    expect([ca.ca, ca.subject, ca.issuer]).toEqual([true, 'CN=Network of a test', 'CN=Network of a test']);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(ca.validToDate.getTime() - nowMs).toBe(3_650 * dayMs);
  });

  test.each([
    ['127.0.0.1', 'IP Address:127.0.0.1'],
    ['255.0.10.1', 'IP Address:255.0.10.1'],
    ['::1', 'IP Address:0:0:0:0:0:0:0:1'],
    ['2001:db8::a:0:b', 'IP Address:2001:DB8:0:0:0:A:0:B'],
    ['fe80::', 'IP Address:FE80:0:0:0:0:0:0:0'],
    ['1:2:3:4:5:6:7:8', 'IP Address:1:2:3:4:5:6:7:8'],
    ['clinic.example', 'DNS:clinic.example'],
    // Lengths of one byte, of two, and of three.
    ['a'.repeat(60), `DNS:${'a'.repeat(60)}`],
    [`${'a'.repeat(63)}.${'b'.repeat(63)}`, `DNS:${'a'.repeat(63)}.${'b'.repeat(63)}`],
    [
      Array(4).fill('a'.repeat(63)).join('.').slice(0, 253),
      `DNS:${Array(4).fill('a'.repeat(63)).join('.').slice(0, 253)}`,
    ],
  ])('a server at %s', (host, name) => {
    const read = certified(host);
    expect([read.ca, read.subject, read.issuer]).toEqual([false, 'CN=clinic', 'CN=Network of a test']);
    expect(read.subjectAltName).toBe(name);
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(host.includes(':') || /^[\d.]+$/.test(host) ? read.checkIP(host) : read.checkHost(host)).toBe(host);
    expect(read.checkHost('other.example')).toBeUndefined();
    expect(read.checkIP('127.0.0.2')).toBeUndefined();
  });

  test.each([
    ['before the year 2050', Date.UTC(2049, 11, 30, 23, 59, 59)],
    ['after it (RFC 5280 §4.1.2.5)', Date.UTC(2050, 0, 2)],
    ['across it', Date.UTC(2049, 11, 31)],
  ])('times %s', (_what, atMs) => {
    const read = certified('127.0.0.1', atMs, 2 * dayMs);
    expect([read.validFromDate.getTime(), read.validToDate.getTime()]).toEqual([atMs - dayMs, atMs + 2 * dayMs]);
  });

  test('no two have one serial number or key, and none is longer than 20 bytes (RFC 5280 §4.1.2.2)', () => {
    const many = Array.from({ length: 20 }, () => certified('127.0.0.1'));
    expect(new Set(many.map(({ serialNumber }) => serialNumber)).size).toBe(many.length);
    expect(new Set(many.map(({ fingerprint256 }) => fingerprint256)).size).toBe(many.length);
    for (const { serialNumber } of many) expect(serialNumber.length).toBeLessThanOrEqual(40);
  });

  test('an authority is not made of a certificate and the key of another', () => {
    const { key } = Authority.create('Another', nowMs);
    expect(() => new Authority({ certificate: authority.certificate, key })).toThrow('another key');
  });
});
