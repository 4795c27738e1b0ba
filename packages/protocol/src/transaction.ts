import { asciiBytes, fromBase64url, isBase64url, randomBytes, sha256, toBase64url, utf8, utf8Text } from './bytes.ts';
import { ProtocolErrorCodes, protocolError } from './errors.ts';
import { type JsonValue, parseJsonStrict } from './json.ts';
import { checkSignature, type Did, isLowS, normalizeLowS, parseKid, type Signer } from './keys.ts';

export type Message = { type: string } & { [member: string]: JsonValue };
export type Payload = { v: 1; id: string; validUntil: number; messages: Message[] };

export type TransactionSignature = {
  kid: string;
  did: Did;
  keyName: string;
  /** RFC 7515 §5.1: ASCII(protected ‖ '.' ‖ payload). */
  signingInput: Uint8Array;
  /** r‖s, low-S. */
  signature: Uint8Array;
};

export type ParsedTransaction = {
  bytes: Uint8Array;
  /** SHA-256 of the bytes: the transaction's name. */
  hash: Uint8Array;
  chain: string;
  payload: Payload;
  signatures: TransactionSignature[];
  /** The first signer. */
  sender: Did;
};

export const transactionBytesMax = 1024 * 1024;
export const messagesMax = 64;
export const signaturesMax = 8;
export const payloadDepthMax = 16;
/** How far `validUntil` may lie after block time. The contracts' kernel checks it: this package knows no time. */
export const validityMsMax = 600_000;
export const transactionIdBytes = 16;
export const chainLengthMax = 50;
/** base64url text of 16 bytes. */
const transactionIdLength = 22;
/** base64url text of 64 bytes. */
const signatureLength = 86;
/** Two more levels than an envelope has, so that a misplaced header is named as that. */
const envelopeDepthMax = 5;
/** Longest protected header: kid, chain and some white space. */
const headerBytesMax = 512;
/** Two more than a header has, so that `crit` is named as that. */
const headerDepthMax = 3;

const ALGORITHM = 'ES256';
const TYPE = 'salus-tx+jws';
const VERSION = 1;
const CHAIN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$/;
const MESSAGE_TYPE = /^[a-z][a-z0-9-]{0,31}\/[A-Za-z][A-Za-z0-9-]{0,63}$/;
/** Everything of a Flattened envelope but the three texts. */
const flattenedFrame = '{"payload":"","protected":"","signature":""}'.length;

type Header = { kid: string; did: Did; keyName: string; chain: string };
type EncodedSignature = { protected: string; signature: string };
type Envelope = { payload: string; signatures: EncodedSignature[] };
type JsonObject = { [member: string]: JsonValue };

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function memberCount(object: JsonObject): number {
  let count = 0;
  for (const _name in object) count += 1;
  return count;
}

/**
 * A transaction whose form is beyond doubt; whether its signatures are by the named keys is for the caller to check
 * (`verifySignature`). Throws a SalusError 1–99.
 */
export function parseTransaction(bytes: Uint8Array): ParsedTransaction {
  if (bytes.length > transactionBytesMax) throw protocolError(ProtocolErrorCodes.transactionTooLarge);
  const envelope = parseEnvelope(utf8Text(bytes));
  const signatures: TransactionSignature[] = [];
  let chain = '';
  for (const encoded of envelope.signatures) {
    const header = parseHeader(encoded.protected);
    if (signatures.length > 0 && header.chain !== chain) throw protocolError(ProtocolErrorCodes.chainsDiffer);
    if (signatures.some((other) => other.did === header.did)) throw protocolError(ProtocolErrorCodes.signedTwice);
    chain = header.chain;
    signatures.push({
      kid: header.kid,
      did: header.did,
      keyName: header.keyName,
      signingInput: asciiBytes(`${encoded.protected}.${envelope.payload}`),
      signature: parseSignature(encoded.signature),
    });
  }
  const payload = parsePayload(fromBase64url(envelope.payload));
  const sender = (signatures[0] as TransactionSignature).did;
  return { bytes, hash: sha256(bytes), chain, payload, signatures, sender };
}

function parseEnvelope(text: string): Envelope {
  const fast = parseCompactFlattened(text);
  if (fast) return fast;
  const envelope = parseJsonStrict(text, { bytesMax: transactionBytesMax, depthMax: envelopeDepthMax });
  if (!isObject(envelope)) throw protocolError(ProtocolErrorCodes.envelopeMembers);
  if (envelope.header !== undefined) throw protocolError(ProtocolErrorCodes.unprotectedHeader);
  const { payload, signatures } = envelope;
  if (typeof payload !== 'string') throw protocolError(ProtocolErrorCodes.envelopeMembers);
  if (signatures === undefined) {
    if (memberCount(envelope) !== 3) throw protocolError(ProtocolErrorCodes.envelopeMembers);
    return { payload, signatures: [encodedSignature(envelope)] };
  }
  if (memberCount(envelope) !== 2 || !Array.isArray(signatures)) {
    throw protocolError(ProtocolErrorCodes.envelopeMembers);
  }
  if (signatures.length === 0) throw protocolError(ProtocolErrorCodes.signaturesMissing);
  if (signatures.length === 1) throw protocolError(ProtocolErrorCodes.generalWithOneSignature);
  if (signatures.length > signaturesMax) throw protocolError(ProtocolErrorCodes.signaturesTooMany);
  return { payload, signatures: signatures.map(generalSignature) };
}

/**
 * The form nearly all transactions have. A text as long as its three values and their frame has no room for white
 * space, escapes, other members or duplicates, so that nothing needs to be scanned.
 */
function parseCompactFlattened(text: string): Envelope | undefined {
  if (!text.startsWith('{"') || text.length > transactionBytesMax) return undefined;
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch {
    throw protocolError(ProtocolErrorCodes.jsonSyntax);
  }
  const { payload, protected: header, signature } = value as JsonObject;
  if (typeof payload !== 'string' || typeof header !== 'string' || typeof signature !== 'string') return undefined;
  if (flattenedFrame + payload.length + header.length + signature.length !== text.length) return undefined;
  return { payload, signatures: [{ protected: header, signature }] };
}

function generalSignature(value: JsonValue): EncodedSignature {
  if (!isObject(value)) throw protocolError(ProtocolErrorCodes.envelopeMembers);
  if (value.header !== undefined) throw protocolError(ProtocolErrorCodes.unprotectedHeader);
  if (memberCount(value) !== 2) throw protocolError(ProtocolErrorCodes.envelopeMembers);
  return encodedSignature(value);
}

function encodedSignature(object: JsonObject): EncodedSignature {
  const { protected: header, signature } = object;
  if (typeof header !== 'string' || typeof signature !== 'string') {
    throw protocolError(ProtocolErrorCodes.envelopeMembers);
  }
  return { protected: header, signature };
}

function parseHeader(encoded: string): Header {
  const header = parseJsonStrict(fromBase64url(encoded), { bytesMax: headerBytesMax, depthMax: headerDepthMax });
  if (!isObject(header)) throw protocolError(ProtocolErrorCodes.headerMembers);
  if (header.crit !== undefined) throw protocolError(ProtocolErrorCodes.headerCritical);
  const { alg, typ, kid, chain } = header;
  if (alg !== ALGORITHM) throw protocolError(ProtocolErrorCodes.headerAlgorithm);
  if (typ !== TYPE) throw protocolError(ProtocolErrorCodes.headerType);
  if (typeof kid !== 'string' || typeof chain !== 'string' || memberCount(header) !== 4) {
    throw protocolError(ProtocolErrorCodes.headerMembers);
  }
  if (!CHAIN.test(chain)) throw protocolError(ProtocolErrorCodes.chainInvalid);
  const { did, keyName } = parseKid(kid);
  return { kid, did, keyName, chain };
}

function parseSignature(encoded: string): Uint8Array {
  if (encoded.length !== signatureLength) {
    if (!isBase64url(encoded)) throw protocolError(ProtocolErrorCodes.base64urlInvalid);
    throw protocolError(ProtocolErrorCodes.signatureLength);
  }
  const signature = fromBase64url(encoded);
  checkSignature(signature);
  if (!isLowS(signature)) throw protocolError(ProtocolErrorCodes.signatureHighS);
  return signature;
}

function parsePayload(bytes: Uint8Array): Payload {
  const payload = parseJsonStrict(bytes, { bytesMax: transactionBytesMax, depthMax: payloadDepthMax });
  if (!isObject(payload) || memberCount(payload) !== 4) throw protocolError(ProtocolErrorCodes.payloadMembers);
  const { v, id, validUntil, messages } = payload;
  if (v === undefined || id === undefined || validUntil === undefined || messages === undefined) {
    throw protocolError(ProtocolErrorCodes.payloadMembers);
  }
  if (v !== VERSION) throw protocolError(ProtocolErrorCodes.payloadVersion);
  if (typeof id !== 'string' || id.length !== transactionIdLength || !isBase64url(id)) {
    throw protocolError(ProtocolErrorCodes.payloadId);
  }
  if (typeof validUntil !== 'number' || validUntil <= 0) throw protocolError(ProtocolErrorCodes.payloadValidUntil);
  if (!Array.isArray(messages) || messages.length === 0) throw protocolError(ProtocolErrorCodes.messagesMissing);
  if (messages.length > messagesMax) throw protocolError(ProtocolErrorCodes.messagesTooMany);
  for (const message of messages) checkMessage(message);
  return payload as Payload;
}

function checkMessage(message: JsonValue): void {
  if (!isObject(message) || typeof message.type !== 'string') throw protocolError(ProtocolErrorCodes.messageInvalid);
  if (!MESSAGE_TYPE.test(message.type)) throw protocolError(ProtocolErrorCodes.messageType);
}

/** What a transaction says and who signs it; the first signer is the sender. */
export type TransactionRequest = {
  chain: string;
  messages: Message[];
  signers: Signer[];
  /** Milliseconds since 1970; at most ten minutes after block time. */
  validUntil: number;
  /** base64url of 16 bytes; random when absent. */
  id?: string;
};

function protectedHeader(kid: string, chain: string): string {
  return toBase64url(utf8(JSON.stringify({ alg: ALGORITHM, typ: TYPE, kid, chain })));
}

async function signPayload(payload: string, chain: string, signer: Signer): Promise<EncodedSignature> {
  const header = protectedHeader(signer.kid, chain);
  const signature = await signer.sign(asciiBytes(`${header}.${payload}`));
  return { protected: header, signature: toBase64url(normalizeLowS(signature)) };
}

/** The bytes come from this package's own parser, so that nothing leaves that the network would refuse. */
function encodeEnvelope(payload: string, signatures: EncodedSignature[]): Uint8Array {
  const [first] = signatures;
  const envelope = signatures.length === 1 ? { payload, ...first } : { payload, signatures };
  const bytes = asciiBytes(JSON.stringify(envelope));
  parseTransaction(bytes);
  return bytes;
}

/** A signed transaction, Flattened for one signer and General for several. Throws what `parseTransaction` throws. */
export async function signTransaction(request: TransactionRequest): Promise<Uint8Array> {
  const { chain, messages, signers, validUntil } = request;
  if (signers.length === 0) throw protocolError(ProtocolErrorCodes.signaturesMissing);
  const id = request.id ?? toBase64url(randomBytes(transactionIdBytes));
  const content: Payload = { v: VERSION, id, validUntil, messages };
  const payload = toBase64url(utf8(JSON.stringify(content)));
  const signatures: EncodedSignature[] = [];
  for (const signer of signers) signatures.push(await signPayload(payload, chain, signer));
  return encodeEnvelope(payload, signatures);
}

/** The transaction with one more signature behind the others. Its hash changes; its payload does not. */
export async function addSignature(bytes: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const { chain } = parseTransaction(bytes);
  const { payload, signatures } = parseEnvelope(utf8Text(bytes));
  return encodeEnvelope(payload, [...signatures, await signPayload(payload, chain, signer)]);
}
