import { type ApiErrorCode, ApiErrorCodes, apiErrors, type Problem } from '@salus/api';
import { LedgerErrorCodes } from '@salus/ledger';
import { proofErrors, errors as protocolErrors, SalusError } from '@salus/protocol';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { isDiskFull } from '../store/disk-full.ts';

/** Codes below this one say that the bytes are no acceptable transaction; from it on a contract's rule refused (ADR 1). */
const contractCodeMin = 1000;
const problemType = (code: number): string => `urn:salus:error:${code}`;

type InputError = NonNullable<Problem['errors']>[number];

interface FaultDetails {
  detail?: string;
  errors?: InputError[];
  transaction?: Problem['transaction'];
  headers?: Record<string, string>;
  /** Replaces the status of the table, where a standard asks for another one. */
  status?: number;
}

/** A problem of the HTTP interface. `detail` is written by us: it never repeats what the caller sent. */
export class ApiFault extends Error {
  readonly code: ApiErrorCode;
  readonly details: FaultDetails;
  constructor(code: ApiErrorCode, details: FaultDetails = {}) {
    super(apiErrors[code].title);
    this.name = 'ApiFault';
    this.code = code;
    this.details = details;
  }
}

/** What a contract or another part refused, with its own number: text for people and, where known, its place. */
export class RuleFault extends Error {
  readonly code: number;
  readonly details: FaultDetails;
  constructor(code: number, details: FaultDetails = {}) {
    super(`refused with ${code}`);
    this.name = 'RuleFault';
    this.code = code;
    this.details = details;
  }
}

/** The framework's own errors that a caller can cause. */
const frameworkCodes: Readonly<Record<string, ApiErrorCode>> = {
  FST_ERR_BAD_URL: ApiErrorCodes.malformedUrl,
  FST_ERR_CTP_BODY_TOO_LARGE: ApiErrorCodes.bodyTooLarge,
  FST_ERR_CTP_EMPTY_JSON_BODY: ApiErrorCodes.malformedJson,
  FST_ERR_CTP_INVALID_JSON_BODY: ApiErrorCodes.malformedJson,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ApiErrorCodes.malformedRequest,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ApiErrorCodes.unsupportedContentType,
  FST_ERR_CTP_INVALID_TYPE: ApiErrorCodes.unsupportedContentType,
  FST_ERR_NOT_FOUND: ApiErrorCodes.notFound,
  FST_ERR_REOPENED_CLOSE_SERVER: ApiErrorCodes.unavailable,
};

/** The database does not answer, or another process has it: the node is well, and cannot serve. */
const storeFaults: ReadonlySet<number> = new Set([NodeErrorCodes.storeUnavailable, NodeErrorCodes.storeTaken]);

interface ErrorEntry {
  name: string;
  advice: string;
}

const ruleTables: ReadonlyMap<number, ErrorEntry>[] = [protocolErrors, proofErrors];

/** Makes the numbered errors of another package known, so that their advice reaches the caller. */
export function addErrorTable(table: ReadonlyMap<number, ErrorEntry>): void {
  if (!ruleTables.includes(table)) ruleTables.push(table);
}

const rulesStatus = new Map<number, number>();

/** Sets the HTTP status of a numbered error that is neither 400 (form) nor 422 (rule). */
export function setErrorStatus(code: number, status: number): void {
  rulesStatus.set(code, status);
}

function statusOfRule(code: number): number {
  return rulesStatus.get(code) ?? (code < contractCodeMin ? 400 : 422);
}

/** `keyRevoked` → `key revoked`. */
function words(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, (_match, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

function ofApi(code: ApiErrorCode, details: FaultDetails): Omit<Problem, 'requestId'> {
  const { status, title, advice } = apiErrors[code];
  return {
    type: problemType(code),
    title,
    status: details.status ?? status,
    code,
    ...(details.detail === undefined ? {} : { detail: details.detail }),
    advice,
    ...(details.errors === undefined ? {} : { errors: details.errors }),
  };
}

function ofRule(code: number, details: FaultDetails): Omit<Problem, 'requestId'> {
  const entry = ruleTables.map((table) => table.get(code)).find((one) => one !== undefined);
  return {
    type: problemType(code),
    title: entry === undefined ? 'A rule of the network refused this' : words(entry.name),
    status: details.status ?? statusOfRule(code),
    code,
    ...(details.detail === undefined ? {} : { detail: details.detail }),
    advice: entry?.advice ?? 'Look the number up in the reference of errors; thousands name the contract.',
    ...(details.transaction === undefined ? {} : { transaction: details.transaction }),
  };
}

function textCodeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function statusCodeOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}

/** What the caller learns of an error; everything that is not the caller's fault is 609 and says nothing more. */
export function problemOf(error: unknown): Omit<Problem, 'requestId'> {
  if (error instanceof ApiFault) return ofApi(error.code, error.details);
  if (error instanceof RuleFault) return ofRule(error.code, error.details);
  // A contract's log names the member that it refuses, never what is in it: the advice sends people there.
  if (error instanceof SalusError)
    return ofRule(error.code, error.code < contractCodeMin ? {} : { detail: error.message });
  if (error instanceof NodeFault && storeFaults.has(error.code)) return ofApi(ApiErrorCodes.unavailable, {});
  if (isDiskFull(error)) return ofRule(LedgerErrorCodes.diskFull, {});
  const known = frameworkCodes[textCodeOf(error)];
  if (known !== undefined) return ofApi(known, {});
  const status = statusCodeOf(error);
  if (status !== undefined && status >= 400 && status < 500) {
    return ofApi(status === 413 ? ApiErrorCodes.bodyTooLarge : ApiErrorCodes.malformedRequest, { status });
  }
  return ofApi(ApiErrorCodes.internal, {});
}

export function headersOf(error: unknown): Record<string, string> {
  return error instanceof ApiFault || error instanceof RuleFault ? (error.details.headers ?? {}) : {};
}
