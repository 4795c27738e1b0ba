import { existsSync, readFileSync } from 'node:fs';
import type { NodeOptions } from '@salus/server';
import { type Command, Option } from 'commander';
import { usageFault } from '../cli.ts';
import { certificateFiles } from '../network/addresses.ts';

export interface ConnectionOptions {
  tlsCert?: string;
  tlsKey?: string;
  peerCa?: string;
  peerNetworks?: ('loopback' | 'private' | 'public')[];
  plainPeers?: boolean;
}

/** How a node is reached, and how it reaches those of other members: by options, or by the environment. */
export function connectionOptions(command: Command): Command {
  const networks = new Option(
    '--peer-networks <kind...>',
    'where other members’ nodes may be (default: where this is)',
  );
  return command
    .addOption(new Option('--tls-cert <file>', 'certificate chain (PEM): speak HTTPS').env('SALUS_TLS_CERT'))
    .addOption(new Option('--tls-key <file>', 'key of the certificate (PEM)').env('SALUS_TLS_KEY'))
    .addOption(new Option('--peer-ca <file>', 'authorities (PEM) of other members’ certificates').env('SALUS_PEER_CA'))
    .addOption(networks.choices(['loopback', 'private', 'public']))
    .addOption(
      new Option('--plain-peers', 'plain HTTP to other members’ nodes on this machine').env('SALUS_PLAIN_PEERS'),
    );
}

/** What `salus network init --tls` put into a member's directory. */
function own(dataDir: string): ConnectionOptions {
  const { certificate: tlsCert, key: tlsKey, authority: peerCa } = certificateFiles(dataDir);
  return existsSync(tlsCert) ? { tlsCert, tlsKey, ...(existsSync(peerCa) && { peerCa }) } : {};
}

/** What the options say, with the files read; a certificate in the data directory counts where none is named. */
export function connectionsOf(given: ConnectionOptions & { data: string }): Pick<NodeOptions, 'tls' | 'peers'> {
  const options = given.tlsCert === undefined && given.tlsKey === undefined ? { ...own(given.data), ...given } : given;
  const { tlsCert, tlsKey, peerCa, peerNetworks, plainPeers } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw usageFault('--tls-cert and --tls-key go together.');
  const read = (file: string): string => readFileSync(file, 'utf8');
  return {
    ...(tlsCert !== undefined && tlsKey !== undefined && { tls: { certificate: read(tlsCert), key: read(tlsKey) } }),
    peers: {
      ...(peerCa !== undefined && { ca: read(peerCa) }),
      ...(peerNetworks !== undefined && { networks: peerNetworks }),
      ...(plainPeers === true && { plain: true }),
    },
  };
}
