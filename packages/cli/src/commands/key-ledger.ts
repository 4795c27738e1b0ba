import { type Client, createClient } from '@salus/api';
import { type JsonValue, type Message, signTransaction } from '@salus/protocol';
import {
  callNode,
  currentKey,
  generateKey,
  type KeyPurpose,
  type KeyState,
  keyPurposes,
  keySpec,
  kidOf,
  NodeErrorCodes,
  NodeFault,
  type OfflineOrganization,
  publicPart,
  readOrganization,
  type StoredKey,
  saveKey,
  setKeyState,
  validForMsDefault,
} from '@salus/server';
import { type Command, Option } from 'commander';
import { type Cli, examples, type GlobalOptions, type Outcome, urlDefault, usageFault } from '../cli.ts';
import { durationOption } from '../duration.ts';

interface LedgerKeyOptions extends GlobalOptions {
  org: string;
  url: string;
}

interface RevokeOptions extends LedgerKeyOptions {
  reason: string;
}

interface ValidityOptions extends LedgerKeyOptions {
  validFor?: number;
}

interface RotateOptions extends ValidityOptions {
  purpose: KeyPurpose;
  overlap: number;
}

/** What was signed or made with the old key and is on its way still counts. */
const overlapMsDefault = 600_000;
const reasons = ['lost', 'stolen', 'superseded', 'ended'];

function validityOption(): Option {
  const parser = durationOption('--valid-for');
  return new Option('--valid-for <duration>', 'the ledger ends the key after this: 365d; no end by default').argParser(
    parser,
  );
}

/** A key as the ledger registers it, with its end where it has one. */
function specOf(key: StoredKey, { validFor }: ValidityOptions, blockTimeMs: number): JsonValue {
  const end = validFor === undefined ? {} : { expiresMs: Math.max(Date.now(), blockTimeMs) + validFor };
  return { ...keySpec(key), ...end } as unknown as JsonValue;
}

function keyNamed(organization: OfflineOrganization, name: string, state: KeyState): StoredKey {
  const key = organization.keys.all.find((one) => one.name === name);
  if (key === undefined) throw usageFault('The organisation has no key of that name; see `salus key list`.');
  if (key.state !== state) throw usageFault(`That key is ${key.state}; this takes one that is ${state}.`);
  return key;
}

/** Whether the ledger has this key already: a command that was cut off after it was committed is only noted. */
async function isRegistered(client: Client, { keys }: OfflineOrganization, key: StoredKey): Promise<boolean> {
  const params = { contract: 'identity', key: `key/${keys.profile.did}/${key.name}` };
  const { present, content } = await client.getState({ params });
  if (!present) return false;
  const { jwk } = content as { jwk?: { x?: string; y?: string } };
  const { x, y } = publicPart(key.privateJwk);
  return jwk?.x === x && jwk.y === y;
}

/** Signs one message as the organisation and submits it; gives the transaction's hash once it is durable. */
async function submit({ keys, directory }: OfflineOrganization, client: Client, message: Message): Promise<string> {
  const { blockTimeMs } = await client.status();
  const body = await signTransaction({
    chain: directory.manifest.chain,
    messages: [message],
    signers: [keys.signer()],
    validUntil: Math.max(Date.now(), blockTimeMs) + validForMsDefault,
  });
  return (await client.submitTransaction({ body })).hash;
}

/** Has the node of the data directory use the keys as they are now; undefined where none runs on this machine. */
async function reload({ data, org }: LedgerKeyOptions): Promise<Record<string, string> | undefined> {
  try {
    const answer = (await callNode(data, { command: 'reloadKeys', slug: org })) as { current: Record<string, string> };
    return answer.current;
  } catch (error) {
    if (error instanceof NodeFault && error.code === NodeErrorCodes.controlUnavailable) return undefined;
    throw error;
  }
}

async function outcomeOf(
  options: LedgerKeyOptions,
  { kid, state, transaction }: { kid: string; state: KeyState; transaction: string | undefined },
): Promise<Outcome> {
  const current = await reload(options);
  const used = current === undefined ? '' : Object.values(current).join(', ');
  const text =
    current === undefined
      ? `No node of ${options.data} answers on this machine: one that runs elsewhere has to be restarted.`
      : `The running node uses ${used} from now on.`;
  const value = { kid, state, ...(transaction !== undefined && { transaction }), live: current !== undefined };
  return { value: { ...value, ...(current !== undefined && { current }) }, text: `${kid} is ${state}. ${text}` };
}

/** The one that a purpose would be left without must be replaced, not taken away. */
function refuseLast(organization: OfflineOrganization, key: StoredKey): void {
  const others = organization.keys.all.filter(
    ({ name, purpose, state }) => purpose === key.purpose && state === 'registered' && name !== key.name,
  );
  if (others.length === 0) {
    throw usageFault('It is the last key of its purpose: `salus key rotate` puts another one in its place.');
  }
}

export function addRegister(parent: Command, cli: Cli): void {
  parent
    .command('register')
    .summary('put a key that was made here on the ledger')
    .argument('<name>', 'name of the key, as sign-2')
    .requiredOption('--org <slug>', 'organisation')
    .addOption(validityOption())
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText('after', examples('salus key register sign-2 --org hospital'))
    .action(
      cli.action<ValidityOptions, [string]>(async (options, name) => {
        const organization = readOrganization(options.data, options.org);
        const key = keyNamed(organization, name, 'pending');
        const participant = organization.keys.profile.did;
        const client = createClient({ baseUrl: options.url });
        const { blockTimeMs } = await client.status();
        const message = { type: 'identity/addKey', participant, key: specOf(key, options, blockTimeMs) };
        const isThere = await isRegistered(client, organization, key);
        const transaction = isThere ? undefined : await submit(organization, client, message);
        setKeyState(organization.keysDirectory, key, 'registered');
        return await outcomeOf(options, { kid: kidOf(participant, key), state: 'registered', transaction });
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
        refuseLast(organization, key);
        const message = { type: 'identity/revokeKey', participant, name, reason: options.reason };
        const transaction = await submit(organization, createClient({ baseUrl: options.url }), message);
        setKeyState(organization.keysDirectory, key, 'ended');
        return await outcomeOf(options, { kid: kidOf(participant, key), state: 'ended', transaction });
      }),
    );
}

export function addRotate(parent: Command, cli: Cli): void {
  parent
    .command('rotate')
    .summary('put a new key in the place of the present one')
    .description(
      'Makes a new key, has it take the place of the present one on the ledger, and has the running node use it. The old ' +
        'one ends after --overlap; what was sealed to it can still be opened. Put the new key file into the escrow.',
    )
    .requiredOption('--org <slug>', 'organisation')
    .addOption(new Option('--purpose <purpose>', 'what it is for').choices(keyPurposes).makeOptionMandatory())
    .addOption(
      new Option('--overlap <duration>', 'how long the old key still counts: 10m, 12h, 30d; 0 ends it at once')
        .argParser(durationOption('--overlap'))
        .default(overlapMsDefault, '10m'),
    )
    .addOption(validityOption())
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText(
      'after',
      examples(
        'salus key rotate --org hospital --purpose sign',
        'salus key rotate --org hospital --purpose authenticate --overlap 0',
      ),
    )
    .action(
      cli.action<RotateOptions, []>(async (options) => {
        const { purpose, overlap } = options;
        const organization = readOrganization(options.data, options.org);
        const { keys, keysDirectory } = organization;
        const old = currentKey(keys.all, purpose);
        const client = createClient({ baseUrl: options.url });
        const { blockTimeMs } = await client.status();
        const key = await generateKey(purpose, { taken: keys.all.map(({ name }) => name) });
        saveKey(keysDirectory, key);
        const participant = keys.profile.did;
        const until: Record<string, JsonValue> =
          overlap === 0 ? {} : { oldUntilMs: Math.max(Date.now(), blockTimeMs) + overlap };
        const spec = specOf(key, options, blockTimeMs);
        const message = { type: 'identity/rotateKey', participant, name: old.name, key: spec, ...until };
        const transaction = await submit(organization, client, message);
        setKeyState(keysDirectory, key, 'registered');
        setKeyState(keysDirectory, old, 'ended');
        return await outcomeOf(options, { kid: kidOf(participant, key), state: 'registered', transaction });
      }),
    );
}
