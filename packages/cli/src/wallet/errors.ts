import { SalusError } from '@salus/protocol';

/** Errors of the wallet: 800–829. */
export const WalletErrorCodes = {
  walletExists: 800,
  walletMissing: 801,
  walletDamaged: 802,
  passphraseWeak: 803,
  passphraseWrong: 804,
  contextUnknown: 805,
  requestUnknown: 806,
  requestForged: 807,
  directiveUnknown: 808,
  contextLinked: 809,
  nodeAnswer: 810,
  durationInvalid: 811,
  proofMissing: 812,
  directiveUnfit: 813,
  walletInUse: 814,
  sendingUnknown: 815,
  delegationUnknown: 816,
  authorityUnknown: 817,
  delegateUnknown: 818,
} as const;

export type WalletErrorName = keyof typeof WalletErrorCodes;

const advice: Readonly<Record<WalletErrorName, string>> = {
  walletExists: 'There is a wallet in this directory already: choose another with --wallet.',
  walletMissing: 'There is no wallet in this directory: `salus wallet create` makes one.',
  walletDamaged: 'The wallet file cannot be read: restore it from your backup.',
  passphraseWeak: 'Choose a passphrase of at least 8 characters; several random words are best.',
  passphraseWrong: 'The passphrase is wrong, or the wallet file was changed.',
  contextUnknown: 'The wallet is not linked to that organisation: `salus wallet link` with a code that it gives you.',
  requestUnknown: 'No open request of that name: see `salus wallet requests`.',
  requestForged:
    'What the node sent does not match the commitment on the ledger: do not answer it, tell the organisation.',
  directiveUnknown: 'You gave no directive of that name: see `salus wallet directives`.',
  contextLinked: 'The wallet is linked to that organisation already.',
  nodeAnswer: 'The node gave an answer that this wallet does not understand: check --url and the versions.',
  proofMissing: 'The node did not prove what it said about the ledger: do not rely on it, ask another node.',
  directiveUnfit: 'The directive cannot be signed as it is: see what it lacks.',
  walletInUse: 'Another process works with this wallet: wait until it has ended, or end it, and try again.',
  sendingUnknown:
    'The node did not answer. What you decided is signed and kept: `salus wallet sync` sends it again, never twice.',
  delegationUnknown: 'You act for nobody there: `salus wallet delegate register` with a code that it gives you.',
  authorityUnknown: 'There is no such authority: see `salus wallet delegate named`.',
  delegateUnknown: 'The ledger knows nobody of that name who acts for patients: check the DID with the person.',
  durationInvalid: 'Write a duration as a number and a unit: 30m, 12h, 7d.',
};

export function walletError(name: WalletErrorName, detail?: string, options?: ErrorOptions): SalusError {
  const text = detail === undefined ? advice[name] : `${advice[name]} (${detail})`;
  return new SalusError(WalletErrorCodes[name], text, options);
}

export const walletErrors: ReadonlyMap<number, { name: string; advice: string }> = new Map(
  Object.entries(WalletErrorCodes).map(([name, code]) => [code, { name, advice: advice[name as WalletErrorName] }]),
);
