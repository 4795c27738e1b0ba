import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import { makeDirectory, pinOf, writeFileDurably } from '@salus/server';
import { authorityFile, authorityKeyFile, certificateFiles } from './addresses.ts';

/** A certificate (PEM) and its private key (PKCS#8 PEM). */
export interface Certified {
  certificate: string;
  key: string;
}

const dayMs = 86_400_000;
const authorityLifeMs = 10 * 365 * dayMs;
const certificateLifeMs = 365 * dayMs;
/** Clocks of others may be behind. */
const backdatedMs = dayMs;
const serialBytes = 16;
const keyIdBytes = 20;
const lengthShortMax = 127;
const pemLineChars = 64;
/** From this year on a time is written with four digits (RFC 5280 §4.1.2.5). */
const longYear = 2050;

// Distinguished encoding rules (X.690 §10): only what a certificate of RFC 5280 needs.
const tags = { boolean: 1, integer: 2, bits: 3, bytes: 4, oid: 6, text: 12, shortTime: 23, longTime: 24, sequence: 48 };
const setTag = 49;

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length <= lengthShortMax) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, lengthShortMax + 1 + length.length]), length, content]);
}

const sequence = (...parts: Uint8Array[]): Buffer => der(tags.sequence, ...parts);
const oid = (hex: string): Buffer => der(tags.oid, Buffer.from(hex, 'hex'));
const bits = (bytes: Uint8Array, unused = 0): Buffer => der(tags.bits, Buffer.from([unused]), bytes);

function integer(bytes: Uint8Array): Buffer {
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0;
  return der(tags.integer, ...(isNegative ? [Buffer.from([0])] : []), bytes);
}

function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  const isLong = new Date(ms).getUTCFullYear() >= longYear;
  return isLong ? der(tags.longTime, Buffer.from(text)) : der(tags.shortTime, Buffer.from(text.slice(2)));
}

const oids = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  extendedKeyUsage: '551d25',
  subjectAltName: '551d11',
  subjectKeyIdentifier: '551d0e',
  authorityKeyIdentifier: '551d23',
  serverAuth: '2b06010505070301',
};
const signatureAlgorithm = sequence(oid(oids.ecdsaWithSha256));

function nameOf(text: string): Buffer {
  return sequence(der(setTag, sequence(oid(oids.commonName), der(tags.text, Buffer.from(text)))));
}

function extension(name: string, value: Uint8Array, isCritical = false): Buffer {
  const critical = isCritical ? [der(tags.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(name), ...critical, der(tags.bytes, value));
}

/** Implicitly tagged, in the context's own numbers. */
const context = (number: number, content: Uint8Array): Buffer => der(0x80 | number, content);

function addressBytes(host: string): Buffer | undefined {
  if (isIPv4(host)) return Buffer.from(host.split('.').map(Number));
  if (!isIPv6(host)) return undefined;
  const [head = '', tail] = host.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [words(head), words(tail ?? '')];
  const filled = tail === undefined ? [] : Array<string>(8 - before.length - after.length).fill('0');
  return Buffer.from([...before, ...filled, ...after].map((word) => word.padStart(4, '0')).join(''), 'hex');
}

function alternativeName(host: string): Buffer {
  const address = addressBytes(host);
  return sequence(address === undefined ? context(2, Buffer.from(host)) : context(7, address));
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha256').update(spkiOf(key)).digest().subarray(0, keyIdBytes);
}

interface Issue {
  subject: string;
  publicKey: KeyObject;
  issuer: string;
  issuerKey: KeyObject;
  nowMs: number;
  lifeMs: number;
  extensions: Buffer[];
}

/** An X.509 certificate, version 3 (RFC 5280 §4.1), as PEM. */
function issue({ subject, publicKey, issuer, issuerKey, nowMs, lifeMs, extensions }: Issue): string {
  const identifiers = [
    extension(oids.subjectKeyIdentifier, der(tags.bytes, keyId(publicKey))),
    extension(oids.authorityKeyIdentifier, sequence(context(0, keyId(createPublicKey(issuerKey))))),
  ];
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(serialBytes)])),
    signatureAlgorithm,
    nameOf(issuer),
    sequence(time(nowMs - backdatedMs), time(nowMs + lifeMs)),
    nameOf(subject),
    spkiOf(publicKey),
    der(0xa3, sequence(...extensions, ...identifiers)),
  );
  const signature = sign('sha256', body, { key: issuerKey, dsaEncoding: 'der' });
  const text = sequence(body, signatureAlgorithm, bits(signature)).toString('base64');
  const lines = text.match(new RegExp(`.{1,${pemLineChars}}`, 'g')) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function newKey(): { publicKey: KeyObject; privateKey: KeyObject; pem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { publicKey, privateKey, pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** Of a server at one address or name. */
function serverExtensions(host: string): Buffer[] {
  return [
    extension(oids.basicConstraints, sequence(), true),
    // digitalSignature: bit 0.
    extension(oids.keyUsage, bits(Buffer.from([0x80]), 7), true),
    extension(oids.extendedKeyUsage, sequence(oid(oids.serverAuth))),
    extension(oids.subjectAltName, alternativeName(host)),
  ];
}

/** Who issues certificates for the members of one network, and nothing else. */
export class Authority {
  readonly certificate: string;
  readonly key: string;
  readonly #name: string;

  /** An authority that was made before; throws where the two do not belong together. */
  constructor({ certificate, key }: Certified) {
    const [, name = ''] = /^CN=(.*)$/m.exec(new X509Certificate(certificate).subject) ?? [];
    if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) throw new Error('another key');
    this.certificate = certificate;
    this.key = key;
    this.#name = name;
  }

  static create(name: string, nowMs: number): Authority {
    const { publicKey, privateKey, pem } = newKey();
    const extensions = [
      extension(oids.basicConstraints, sequence(der(tags.boolean, Buffer.from([0xff]))), true),
      // keyCertSign and cRLSign: bits 5 and 6.
      extension(oids.keyUsage, bits(Buffer.from([0x06]), 1), true),
    ];
    const own = { subject: name, publicKey, issuer: name, issuerKey: privateKey };
    return new Authority({ certificate: issue({ ...own, nowMs, lifeMs: authorityLifeMs, extensions }), key: pem });
  }

  /** A certificate for a server at one address or name. */
  certify(subject: string, host: string, nowMs: number, lifeMs = certificateLifeMs): Certified {
    const { publicKey, pem } = newKey();
    const extensions = serverExtensions(host);
    const issuer = { issuer: this.#name, issuerKey: createPrivateKey(this.key) };
    return { certificate: issue({ subject, publicKey, ...issuer, nowMs, lifeMs, extensions }), key: pem };
  }
}

/** A certificate that nobody else signed: those who connect know its key from the ledger. */
function certifyAlone(subject: string, host: string, nowMs: number): Certified {
  const { publicKey, privateKey, pem } = newKey();
  const own = { subject, publicKey, issuer: subject, issuerKey: privateKey };
  const extensions = serverExtensions(host);
  return { certificate: issue({ ...own, nowMs, lifeMs: certificateLifeMs, extensions }), key: pem };
}

function authorityOf(dir: string, nowMs: number): Authority {
  const [certificate, key] = [authorityFile(dir), authorityKeyFile(dir)];
  if (existsSync(certificate)) {
    return new Authority({ certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') });
  }
  const authority = Authority.create('Salus network on one machine', nowMs);
  writeFileDurably(key, authority.key);
  writeFileDurably(certificate, authority.certificate);
  return authority;
}

/** Gives a member a certificate of the network's own authority, which is made where there is none. */
export function certifyMember(
  dir: string,
  host: string,
  { slug, dataDir }: { slug: string; dataDir: string },
  nowMs: number,
): void {
  const authority = authorityOf(dir, nowMs);
  // A member that is carried to another machine needs to know whom to believe there.
  writeCertified(dataDir, authority.certify(slug, host, nowMs), authority.certificate);
}

function writeCertified(dataDir: string, { certificate, key }: Certified, authority: string | undefined): void {
  const files = certificateFiles(dataDir);
  makeDirectory(dirname(files.certificate));
  writeFileDurably(files.key, key);
  writeFileDurably(files.certificate, certificate);
  if (authority !== undefined) writeFileDurably(files.authority, authority);
}

/**
 * Gives a member who comes later a certificate of its own, without the key of anybody's authority. Gives the pin under
 * which its node is known (SHA-256 of the public key). `authority` is whom it believes about the others.
 */
export function certifyNewcomer(
  dataDir: string,
  { slug, host, authority }: { slug: string; host: string; authority: string | undefined },
  nowMs: number,
): string {
  const certified = certifyAlone(slug, host, nowMs);
  writeCertified(dataDir, certified, authority);
  return pinOf(spkiOf(createPublicKey(certified.certificate)));
}
