import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import type { Network, NetworkMember } from './network-directory.ts';

/** The certificate of the authority that a network on one machine made for itself; its members then speak HTTPS. */
export function authorityFile(dir: string): string {
  return join(dir, 'authority.pem');
}

export function authorityKeyFile(dir: string): string {
  return join(dir, 'authority-key.pem');
}

/** A member's certificate, its key, and the authority of the others' certificates. */
export function certificateFiles(dataDir: string): { certificate: string; key: string; authority: string } {
  const dir = join(dataDir, 'tls');
  return {
    certificate: join(dir, 'certificate.pem'),
    key: join(dir, 'key.pem'),
    authority: join(dir, 'authority.pem'),
  };
}

/** How a member of a network on one machine speaks with the others: HTTPS where it has a certificate. */
export function connectionFlags(dataDir: string): string[] {
  return existsSync(certificateFiles(dataDir).certificate) ? [] : ['--plain-peers'];
}

/** Where a member's node answers. */
export function memberUrl({ host }: Pick<Network, 'host'>, { dataDir, ports }: NetworkMember): string {
  const isCertified = existsSync(certificateFiles(dataDir).certificate);
  return `${isCertified ? 'https' : 'http'}://${host}:${ports.http}`;
}

const trusted = new Set<string>();

/** This process believes from now on a certificate (PEM) and what it certified, beside those of the system. */
export function trustCertificate(certificate: string): void {
  if (trusted.has(certificate)) return;
  trusted.add(certificate);
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificate]);
}

function trustFile(file: string): void {
  if (existsSync(file)) trustCertificate(readFileSync(file, 'utf8'));
}

/** What the network's own authority certified. */
export function trustAuthority(dir: string): void {
  trustFile(authorityFile(dir));
}

/** What a member's own directory holds: its node, and those that its node believes. */
export function trustMember(dataDir: string): void {
  const { certificate, authority } = certificateFiles(dataDir);
  trustFile(certificate);
  trustFile(authority);
}
