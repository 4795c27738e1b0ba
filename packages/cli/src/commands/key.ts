import {
  generateKey,
  type KeyPurpose,
  keyPurposes,
  keySuites,
  kidOf,
  type OfflineOrganization,
  publicPart,
  readOrganization,
  type StoredKey,
  saveKey,
} from '@salus/server';
import { type Command, Option } from 'commander';
import { type AddCommand, type Cli, examples, type GlobalOptions, usageFault } from '../cli.ts';
import { addRegister, addRevoke, addRotate } from './key-ledger.ts';

interface KeyOptions extends GlobalOptions {
  org: string;
}

interface GenerateOptions extends KeyOptions {
  purpose: KeyPurpose;
}

/** The public half only: no command prints a private key. */
function shown({ keys }: OfflineOrganization, key: StoredKey) {
  return {
    kid: kidOf(keys.profile.did, key),
    purpose: key.purpose,
    suite: keySuites[key.purpose].suite,
    state: key.state,
    created: new Date(key.createdMs).toISOString(),
    jwk: publicPart(key.privateJwk),
  };
}

function addList(parent: Command, cli: Cli): void {
  parent
    .command('list')
    .summary('list an organisation’s keys')
    .requiredOption('--org <slug>', 'organisation')
    .addHelpText('after', examples('salus key list --org hospital'))
    .action(
      cli.action<KeyOptions, []>(async (options) => {
        const organization = readOrganization(options.data, options.org);
        const keys = organization.keys.all.map((key) => shown(organization, key));
        const lines = keys.map(
          ({ kid, purpose, suite, state, created }) =>
            `${kid}  ${purpose.padEnd(12)}  ${suite.padEnd(9)}  ${state.padEnd(10)}  ${created}`,
        );
        return { value: keys, text: lines.join('\n') };
      }),
    );
}

function addShow(parent: Command, cli: Cli): void {
  parent
    .command('show')
    .summary('show the public half of a key')
    .argument('<name>', 'name of the key, as sign-1')
    .requiredOption('--org <slug>', 'organisation')
    .addHelpText('after', examples('salus key show sign-1 --org hospital --json'))
    .action(
      cli.action<KeyOptions, [string]>(async (options, name) => {
        const organization = readOrganization(options.data, options.org);
        const key = organization.keys.all.find((one) => one.name === name);
        if (key === undefined) throw usageFault(`${options.org} has no key of that name; see \`salus key list\`.`);
        const value = shown(organization, key);
        return { value, text: JSON.stringify(value, null, 2) };
      }),
    );
}

function addGenerate(parent: Command, cli: Cli): void {
  parent
    .command('generate')
    .summary('make a new key, to be registered on the ledger')
    .description(
      'Makes a new key of an organisation and keeps it beside the others. It is used once `salus key register` has put ' +
        'it on the ledger.',
    )
    .requiredOption('--org <slug>', 'organisation')
    .addOption(new Option('--purpose <purpose>', 'what it is for').choices(keyPurposes).makeOptionMandatory())
    .addHelpText('after', examples('salus key generate --org hospital --purpose sign'))
    .action(
      cli.action<GenerateOptions, []>(async (options) => {
        const organization = readOrganization(options.data, options.org);
        const taken = organization.keys.all.map((key) => key.name);
        const key = await generateKey(options.purpose, { taken });
        saveKey(organization.keysDirectory, key);
        const value = shown(organization, key);
        return { value, text: JSON.stringify(value, null, 2) };
      }),
    );
}

export const addKey: AddCommand = (program, cli) => {
  const parent = program
    .command('key')
    .summary('keys of an organisation: list, make, put on the ledger, rotate, revoke');
  addList(parent, cli);
  addShow(parent, cli);
  addGenerate(parent, cli);
  addRegister(parent, cli);
  addRotate(parent, cli);
  addRevoke(parent, cli);
};
