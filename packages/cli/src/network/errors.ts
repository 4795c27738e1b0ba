import { SalusError } from '@salus/protocol';

/** Errors of the members that `salus network start` runs: 830–839. */
export const NetworkErrorCodes = {
  networkStopped: 830,
  memberStopped: 831,
  memberStarted: 832,
  powerTooLittle: 833,
} as const;

export type NetworkErrorName = keyof typeof NetworkErrorCodes;

const advice: Readonly<Record<NetworkErrorName, string>> = {
  networkStopped: 'Run the network with `salus network start`: single members are stopped and started while it runs.',
  memberStopped: '`salus network start MEMBER` brings it back.',
  memberStarted: 'See `salus network status` for how it is, and its member.log.',
  powerTooLittle: 'Start or mend the others first, or stop it all the same with --yes.',
};

export function networkError(name: NetworkErrorName, detail: string): SalusError {
  return new SalusError(NetworkErrorCodes[name], `${detail} ${advice[name]}`);
}

export const networkErrors: ReadonlyMap<number, { name: string; advice: string }> = new Map(
  Object.entries(NetworkErrorCodes).map(([name, code]) => [code, { name, advice: advice[name as NetworkErrorName] }]),
);
