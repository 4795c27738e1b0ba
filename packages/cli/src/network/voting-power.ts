import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CometRpc } from '@salus/ledger';
import { cometHomeOf } from './comet-home.ts';

/** Of the validators: all of it, what is there to vote now, and the least with which a block is decided. */
export type VotingPower = { total: number; there: number; needed: number };
export type SigningValidator = { address: string; power: number; hasSigned: boolean };

const validatorsPerPage = 100;
/** CometBFT's BlockIDFlagCommit: voted for the block, and not for nothing or not at all. */
const flagCommit = 2;

type CommitAnswer = {
  signed_header: {
    header: { height: string };
    commit: { signatures: { block_id_flag: number; validator_address: string }[] };
  };
};
type ValidatorsAnswer = { validators: { address: string; voting_power: string }[]; total: string };

/** Validators of the latest block, as the CometBFT at this port knows them. */
export async function validatorsAt(port: number): Promise<SigningValidator[]> {
  const rpc = new CometRpc(port);
  try {
    const { signed_header: signed } = (await rpc.call('commit')) as CommitAnswer;
    const { height } = signed.header;
    const voted = signed.commit.signatures.filter((one) => one.block_id_flag === flagCommit);
    const signers = new Set(voted.map((one) => one.validator_address));
    const all: SigningValidator[] = [];
    for (let page = 1; ; page += 1) {
      const params = { height, page: String(page), per_page: String(validatorsPerPage) };
      const { validators, total } = (await rpc.call('validators', params)) as ValidatorsAnswer;
      for (const { address, voting_power: power } of validators) {
        all.push({ address: address.toLowerCase(), power: Number(power), hasSigned: signers.has(address) });
      }
      if (validators.length === 0 || all.length >= Number(total)) return all;
    }
  } finally {
    rpc.close();
  }
}

/** Address of the validator whose key is in a member's directory; undefined where that cannot be read. */
export function validatorAddress(dataDir: string): string | undefined {
  try {
    const file = join(cometHomeOf(dataDir), 'config', 'priv_validator_key.json');
    const { address } = JSON.parse(readFileSync(file, 'utf8')) as { address?: unknown };
    return typeof address === 'string' ? address.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}

/** `known` says of validators whether they run. Of all others counts whether they signed the latest block. */
export function powerOf(validators: readonly SigningValidator[], known: ReadonlyMap<string, boolean>): VotingPower {
  let [total, there] = [0, 0];
  for (const { address, power, hasSigned } of validators) {
    total += power;
    if (known.get(address) ?? hasSigned) there += power;
  }
  return { total, there, needed: Math.floor((2 * total) / 3) + 1 };
}
