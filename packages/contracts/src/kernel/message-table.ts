import type { Message } from '@salus/protocol';
import { Compile } from 'typebox/compile';
import { ContractError, check, type ErrorDefinition, kernelErrors, refuse } from './errors.ts';
import { looseEnds } from './schemas.ts';
import type { Contract, MessageDefinition } from './types.ts';
import { firstVersion } from './versions.ts';

type Validator = {
  Check(value: unknown): boolean;
  Errors(value: unknown): { instancePath: string; message: string }[];
};
type Revision = { since: number; definition: MessageDefinition; validator: Validator };
type Entry = { contract: Contract; definition: MessageDefinition; validator: Validator };
type Registered = { contract: Contract; revisions: readonly Revision[] };

/** A message that its schema refuses; names the member, never its value. */
class MalformedMessage extends ContractError {
  constructor(definition: ErrorDefinition, detail: string) {
    super(definition);
    this.message = `${definition.name}: ${detail}; ${definition.advice}`;
  }
}

/** Where a message is not as its schema says, in names of the schema: that of a member that it does not have is the sender's. */
function faultOf(first: { instancePath: string; message: string } | undefined): string {
  const { instancePath: path = '', message = 'is malformed' } = first ?? {};
  const isUnknown = message === 'schema is false';
  const where = isUnknown ? path.slice(0, path.lastIndexOf('/')) : path;
  return `${where === '' ? 'the message' : where} ${isUnknown ? 'has a member that is not known' : message}`;
}

function validatorOf(type: string, { schema }: MessageDefinition): Validator {
  const problems = looseEnds(schema);
  if (problems.length > 0) throw new TypeError(`schema of ${type} is open or unbounded: ${problems.join('; ')}`);
  return Compile(schema);
}

/** All message types with their compiled schemas, as each application version has them. */
export class MessageTable {
  readonly #entries = new Map<string, Registered>();
  readonly #reserved = new Set<string>();
  /** Under which version a transaction's messages were found good: each is looked at several times on its way. */
  readonly #good = new WeakMap<readonly Message[], number>();

  constructor(contracts: readonly Contract[]) {
    for (const contract of contracts) {
      for (const [type, definition] of Object.entries(contract.messages)) this.#register(contract, type, definition);
      for (const type of contract.reserved ?? []) this.#reserved.add(type);
    }
    for (const type of this.#reserved) if (this.#entries.has(type)) throw new TypeError(`${type} is reserved`);
  }

  #register(contract: Contract, type: string, definition: MessageDefinition): void {
    if (!type.startsWith(`${contract.name}/`)) throw new TypeError(`${type} is not a message of ${contract.name}`);
    const revisions = [definition, ...(definition.revisions ?? [])].map((one) => ({
      since: one.since ?? firstVersion,
      definition: one,
      validator: validatorOf(type, one),
    }));
    const isAscending = revisions.every(
      ({ since }, index) => index === 0 || since > (revisions[index - 1]?.since ?? 0),
    );
    if (!isAscending) throw new TypeError(`revisions of ${type} are not in the order of versions`);
    this.#entries.set(type, { contract, revisions });
  }

  types(): string[] {
    return [...this.#entries.keys()];
  }

  /** As the latest version has it. */
  definition(type: string): MessageDefinition | undefined {
    return this.#entries.get(type)?.revisions.at(-1)?.definition;
  }

  /** A message type as an application version has it. */
  entry(type: string, version: number): Entry {
    const registered = this.#entries.get(type);
    const revision = registered?.revisions.findLast(({ since }) => since <= version);
    if (registered && revision) return { contract: registered.contract, ...revision };
    const isLater = registered !== undefined || this.#reserved.has(type);
    refuse(isLater ? kernelErrors.messageReserved : kernelErrors.messageUnknown);
  }

  /** Everything about a message that needs no state. */
  check(message: Message, version: number): void {
    const { definition, validator } = this.entry(message.type, version);
    if (!validator.Check(message)) {
      const [first] = validator.Errors(message);
      throw new MalformedMessage(kernelErrors.messageMalformed, faultOf(first));
    }
    definition.check?.(message as never);
  }

  /** Of a transaction, whose messages nobody changes. */
  checkAll(messages: readonly Message[], version: number): void {
    if (this.#good.get(messages) === version) return;
    check(messages.length > 0, kernelErrors.messageMalformed);
    for (const message of messages) this.check(message, version);
    this.#good.set(messages, version);
  }
}
