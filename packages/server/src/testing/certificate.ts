import { generateKeyPairSync, sign } from 'node:crypto';

const tag = { integer: 2, bitString: 3, oid: 6, utf8: 12, generalizedTime: 24, sequence: 48, set: 49 };

/** Distinguished encoding of one value (X.690, 8.1 and 10.1). */
function der(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const short = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([type, ...(length < 128 ? [length] : short)]), body]);
}

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const ecdsaWithSha256 = der(tag.sequence, der(tag.oid, bytes('2a8648ce3d040302')));

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d{3}/g, '');
  return der(tag.generalizedTime, Buffer.from(text));
}

function named(name: string): Buffer {
  const commonName = der(tag.sequence, der(tag.oid, bytes('550403')), der(tag.utf8, Buffer.from(name)));
  return der(tag.sequence, der(tag.set, commonName));
}

/** A certificate that signs itself (RFC 5280, 4.1), as PEM: for tests of what reads one. */
export function selfSigned(name: string, untilMs: number): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const validity = der(tag.sequence, time(Date.now() - 60_000), time(untilMs));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const serial = der(tag.integer, Buffer.from([1]));
  const body = der(tag.sequence, serial, ecdsaWithSha256, named(name), validity, named(name), spki);
  const signature = der(tag.bitString, Buffer.from([0]), sign('sha256', body, privateKey));
  const text = der(tag.sequence, body, ecdsaWithSha256, signature)
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n');
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}
