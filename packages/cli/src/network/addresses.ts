import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Network, NetworkMember } from './network-directory.ts';

/** The certificate of the authority that a network on one machine made for itself; its members then speak HTTPS. */
export function authorityFile(dir: string): string {
  return join(dir, 'authority.pem');
}

/** A member's certificate and its key. */
export function certificateFiles(dataDir: string): { certificate: string; key: string } {
  return { certificate: join(dataDir, 'tls', 'certificate.pem'), key: join(dataDir, 'tls', 'key.pem') };
}

/** How a member of a network on one machine speaks with the others: HTTPS where it has a certificate. */
export function connectionFlags(dataDir: string): string[] {
  const { certificate, key } = certificateFiles(dataDir);
  if (!existsSync(certificate)) return ['--plain-peers'];
  return ['--tls-cert', certificate, '--tls-key', key, '--peer-ca', authorityFile(dirname(dataDir))];
}

/** Where a member's node answers. */
export function memberUrl(dir: string, { host }: Network, { ports }: NetworkMember): string {
  return `${existsSync(authorityFile(dir)) ? 'https' : 'http'}://${host}:${ports.http}`;
}
