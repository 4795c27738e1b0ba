import { SalusError } from '@salus/protocol';

/** Errors of the members of a network, and of reaching them: 830–839. */
export const NetworkErrorCodes = {
  networkStopped: 830,
  memberStopped: 831,
  memberStarted: 832,
  powerTooLittle: 833,
  certificateUnknown: 834,
  proposalUnknown: 835,
} as const;

export type NetworkErrorName = keyof typeof NetworkErrorCodes;

const advice: Readonly<Record<NetworkErrorName, string>> = {
  networkStopped: 'Run it with `salus network start`; single members are stopped and started while it runs.',
  memberStopped: '`salus network start MEMBER` brings it back.',
  memberStarted: 'See `salus network status` for how it is, and its member.log.',
  certificateUnknown:
    'Give the certificate that it is to be believed by (authority.pem of the network, or tls/certificate.pem of the member) in ' +
    'NODE_EXTRA_CA_CERTS, or name the member’s directory where a command takes --data.',
  proposalUnknown: 'See `salus network votes` for what was proposed.',
  powerTooLittle: 'Start or mend the others first, or stop it all the same with --yes.',
};

export function networkError(name: NetworkErrorName, detail: string): SalusError {
  return new SalusError(NetworkErrorCodes[name], `${detail} ${advice[name]}`);
}

export const networkErrors: ReadonlyMap<number, { name: string; advice: string }> = new Map(
  Object.entries(NetworkErrorCodes).map(([name, code]) => [code, { name, advice: advice[name as NetworkErrorName] }]),
);
