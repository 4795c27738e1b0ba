/** What a contract refuses: a stable number, a name, and what the user does next. Never health data. */
export type ErrorDefinition = { readonly code: number; readonly name: string; readonly advice: string };

/** A contract's number times this, plus the error's own number, is the result code (ADR 1). */
export const errorCodesPerContract = 1000;

/** Thrown by handlers through `refuse` or `check`; the kernel turns it into the transaction's result. */
export class ContractError extends Error {
  override readonly name: string;
  readonly code: number;
  readonly advice: string;

  constructor(definition: ErrorDefinition) {
    super(`${definition.name}: ${definition.advice}`);
    this.name = definition.name;
    this.code = definition.code;
    this.advice = definition.advice;
  }
}

/**
 * Thrown by a view whose state cannot be read. It is no transaction's fault and gives no result: another node, which can
 * read, would have another one.
 */
export class StateUnreadableError extends Error {}

/** A contract's table of errors. A number is never reused for another meaning. */
export function defineErrors<Name extends string>(
  contractNumber: number,
  table: Record<Name, readonly [number: number, advice: string]>,
): Readonly<Record<Name, ErrorDefinition>> {
  const definitions = {} as Record<Name, ErrorDefinition>;
  const used = new Set<number>();
  for (const name of Object.keys(table) as Name[]) {
    const [number, advice] = table[name];
    if (number < 1 || number >= errorCodesPerContract || used.has(number)) {
      throw new RangeError(`error ${name} of contract ${contractNumber} needs a number of its own, 1 to 999`);
    }
    used.add(number);
    definitions[name] = Object.freeze({ code: contractNumber * errorCodesPerContract + number, name, advice });
  }
  return Object.freeze(definitions);
}

export function refuse(definition: ErrorDefinition): never {
  throw new ContractError(definition);
}

/** Refuses the transaction unless the condition holds. */
export function check(condition: unknown, definition: ErrorDefinition): asserts condition {
  if (!condition) throw new ContractError(definition);
}

export const kernelErrors = defineErrors(1, {
  chainDiffers: [1, 'sign for the chain that this node serves; GET /api/status names it'],
  expired: [2, 'sign again with a validUntil that lies after block time'],
  validityTooLong: [3, 'sign again with a validUntil at most 10 minutes after block time'],
  replayed: [4, 'this id was used before; if you mean to act again, sign a new transaction with a new id'],
  messageUnknown: [5, 'use a message type of GET /api/openapi.json'],
  messageReserved: [6, 'this message type is reserved for a later version and cannot be used yet'],
  messageMalformed: [7, 'correct the member that the log names'],
  signerUnknown: [8, 'register the signing key first, or sign with a registered one'],
  signerNotActive: [9, 'this key is revoked, expired or not for signing; sign with an active key of purpose sign'],
  signerKeyChanged: [10, 'the key changed while the transaction was on its way; sign it again'],
  signerSuspended: [11, 'this participant may not sign at present; ask the organisation that registered it'],
  costExceeded: [12, 'split the transaction: it needs more work than one transaction may cause'],
  handlerFault: [13, 'the transaction was refused by a fault of the program; report its hash to the operator'],
  stampExists: [14, 'this sender has stamped this digest before; the first stamp stays'],
  signaturesMissing: [15, 'every signature needs the key that it was verified with'],
  versionUnknown: [16, 'this node runs an older program than the chain wants; its operator installs the newer one'],
});
