import type { Message } from '@salus/protocol';
import { Compile } from 'typebox/compile';
import { ContractError, check, type ErrorDefinition, kernelErrors, refuse } from './errors.ts';
import { looseEnds } from './schemas.ts';
import type { Contract, MessageDefinition } from './types.ts';

type Validator = {
  Check(value: unknown): boolean;
  Errors(value: unknown): { instancePath: string; message: string }[];
};
type Entry = { contract: Contract; definition: MessageDefinition; validator: Validator };

/** A message that its schema refuses; names the member, never its value. */
class MalformedMessage extends ContractError {
  constructor(definition: ErrorDefinition, detail: string) {
    super(definition);
    this.message = `${definition.name}: ${detail}; ${definition.advice}`;
  }
}

/** All message types with their compiled schemas. */
export class MessageTable {
  readonly #entries = new Map<string, Entry>();
  readonly #reserved = new Set<string>();

  constructor(contracts: readonly Contract[]) {
    for (const contract of contracts) {
      for (const [type, definition] of Object.entries(contract.messages)) this.#register(contract, type, definition);
      for (const type of contract.reserved ?? []) this.#reserved.add(type);
    }
    for (const type of this.#reserved) if (this.#entries.has(type)) throw new TypeError(`${type} is reserved`);
  }

  #register(contract: Contract, type: string, definition: MessageDefinition): void {
    if (!type.startsWith(`${contract.name}/`)) throw new TypeError(`${type} is not a message of ${contract.name}`);
    const problems = looseEnds(definition.schema);
    if (problems.length > 0) throw new TypeError(`schema of ${type} is open or unbounded: ${problems.join('; ')}`);
    this.#entries.set(type, { contract, definition, validator: Compile(definition.schema) });
  }

  types(): string[] {
    return [...this.#entries.keys()];
  }

  definition(type: string): MessageDefinition | undefined {
    return this.#entries.get(type)?.definition;
  }

  entry(type: string): Entry {
    const entry = this.#entries.get(type);
    if (entry) return entry;
    refuse(this.#reserved.has(type) ? kernelErrors.messageReserved : kernelErrors.messageUnknown);
  }

  /** Everything about a message that needs no state. */
  check(message: Message): void {
    const { definition, validator } = this.entry(message.type);
    if (!validator.Check(message)) {
      const [first] = validator.Errors(message);
      const where = first?.instancePath === '' ? 'the message' : (first?.instancePath ?? 'the message');
      throw new MalformedMessage(kernelErrors.messageMalformed, `${where} ${first?.message ?? 'is malformed'}`);
    }
    definition.check?.(message as never);
  }

  checkAll(messages: readonly Message[]): void {
    check(messages.length > 0, kernelErrors.messageMalformed);
    for (const message of messages) this.check(message);
  }
}
