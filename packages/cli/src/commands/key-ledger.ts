import { createClient } from '@salus/api';
import { type JsonValue, type Message, signTransaction } from '@salus/protocol';
import {
  type KeyState,
  keySpec,
  kidOf,
  type OfflineOrganization,
  readOrganization,
  type StoredKey,
  setKeyState,
  validForMsDefault,
} from '@salus/server';
import { type Command, Option } from 'commander';
import { type Cli, examples, type GlobalOptions, type Outcome, urlDefault, usageFault } from '../cli.ts';

interface LedgerKeyOptions extends GlobalOptions {
  org: string;
  url: string;
}

interface RevokeOptions extends LedgerKeyOptions {
  reason: string;
}

const reasons = ['lost', 'stolen', 'superseded', 'ended'];

function keyNamed(organization: OfflineOrganization, name: string, state: KeyState): StoredKey {
  const key = organization.keys.all.find((one) => one.name === name);
  if (key === undefined) throw usageFault('The organisation has no key of that name; see `salus key list`.');
  if (key.state !== state) throw usageFault(`That key is ${key.state}; this takes one that is ${state}.`);
  return key;
}

/** Signs one message as the organisation, submits it, and notes the outcome at the key once it is durable. */
async function change(
  organization: OfflineOrganization,
  options: LedgerKeyOptions,
  key: StoredKey,
  message: Message,
  state: KeyState,
): Promise<Outcome> {
  const { keys, directory, keysDirectory } = organization;
  const body = await signTransaction({
    chain: directory.manifest.chain,
    messages: [message],
    signers: [keys.signer()],
    validUntil: Date.now() + validForMsDefault,
  });
  const { hash } = await createClient({ baseUrl: options.url }).submitTransaction({ body });
  setKeyState(keysDirectory, key, state);
  const kid = kidOf(keys.profile.did, key);
  return {
    value: { kid, state, transaction: hash },
    text: `${kid} is ${state}. Restart the node to use what is current.`,
  };
}

export function addRegister(parent: Command, cli: Cli): void {
  parent
    .command('register')
    .summary('put a key that was made here on the ledger')
    .argument('<name>', 'name of the key, as sign-2')
    .requiredOption('--org <slug>', 'organisation')
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText('after', examples('salus key register sign-2 --org hospital'))
    .action(
      cli.action<LedgerKeyOptions, [string]>(async (options, name) => {
        const organization = readOrganization(options.data, options.org);
        const key = keyNamed(organization, name, 'pending');
        const participant = organization.keys.profile.did;
        const message = { type: 'identity/addKey', participant, key: keySpec(key) as unknown as JsonValue };
        return await change(organization, options, key, message, 'registered');
      }),
    );
}

export function addRevoke(parent: Command, cli: Cli): void {
  parent
    .command('revoke')
    .summary('revoke a key on the ledger')
    .description(
      'Ends a key with the next transaction. What it signed before stays valid; what it signs now is refused.',
    )
    .argument('<name>', 'name of the key, as sign-1')
    .requiredOption('--org <slug>', 'organisation')
    .addOption(new Option('--reason <reason>', 'why').choices(reasons).default('superseded'))
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText('after', examples('salus key revoke auth-1 --org hospital --reason stolen'))
    .action(
      cli.action<RevokeOptions, [string]>(async (options, name) => {
        const organization = readOrganization(options.data, options.org);
        const key = keyNamed(organization, name, 'registered');
        const participant = organization.keys.profile.did;
        const message = { type: 'identity/revokeKey', participant, name, reason: options.reason };
        return await change(organization, options, key, message, 'ended');
      }),
    );
}
