/**
 * Stable numbers of what this package refuses: 1–99 transactions and encodings (this file), 100–199 proofs and
 * receipts (proof-errors.ts). A number is never reused for another meaning.
 */
export class SalusError extends Error {
  override readonly name = 'SalusError';
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const ProtocolErrorCodes = {
  transactionTooLarge: 1,
  utf8Invalid: 2,
  byteOrderMark: 3,
  jsonSyntax: 4,
  jsonDuplicateMember: 5,
  loneSurrogate: 6,
  jsonNumber: 7,
  jsonTooDeep: 8,
  jsonTooLarge: 9,
  envelopeMembers: 10,
  unprotectedHeader: 11,
  headerMembers: 12,
  headerAlgorithm: 13,
  headerType: 14,
  headerCritical: 15,
  kidInvalid: 16,
  chainInvalid: 17,
  chainsDiffer: 18,
  signedTwice: 19,
  signaturesMissing: 20,
  signaturesTooMany: 21,
  signatureLength: 22,
  signatureHighS: 23,
  signatureRange: 24,
  generalWithOneSignature: 25,
  base64urlInvalid: 26,
  payloadMembers: 30,
  payloadVersion: 31,
  payloadId: 32,
  payloadValidUntil: 33,
  messagesMissing: 34,
  messagesTooMany: 35,
  messageInvalid: 36,
  messageType: 37,
  signatureInvalid: 40,
  jsonValue: 50,
  cborValue: 51,
  cborSyntax: 52,
  cborNotDeterministic: 53,
  cborTooDeep: 54,
  cborTooLarge: 55,
  hexInvalid: 56,
  keyInvalid: 60,
  didInvalid: 61,
  rootSecretInvalid: 70,
  contextInvalid: 71,
  saltInvalid: 75,
  blindInvalid: 76,
} as const;

export type ProtocolErrorName = keyof typeof ProtocolErrorCodes;

export type ErrorDescription = { name: string; advice: string };

const ADVICE: Record<ProtocolErrorName, string> = {
  transactionTooLarge: 'The transaction is larger than 1 MiB: split it, or put the content into a sealed payload.',
  utf8Invalid: 'The bytes are not valid UTF-8: encode the JSON text as UTF-8.',
  byteOrderMark: 'The text starts with a byte order mark: send UTF-8 without one.',
  jsonSyntax: 'The text is not JSON (RFC 8259): serialise it with a JSON library.',
  jsonDuplicateMember: 'A JSON object names a member twice: name each member once.',
  loneSurrogate: 'A text contains half of a surrogate pair: replace it with a whole character.',
  jsonNumber:
    'A JSON number is not an integer within ±(2^53−1) in plain form (no fraction, exponent, or -0): write larger or ' +
    'fractional amounts as text.',
  jsonTooDeep: 'The JSON is nested too deeply: 16 levels at most in a transaction.',
  jsonTooLarge: 'The JSON text is larger than its place allows: shorten it.',
  envelopeMembers:
    'The envelope is neither {"payload","protected","signature"} nor {"payload","signatures":[{"protected",' +
    '"signature"},…]} with text values: use Flattened or General JWS JSON serialisation (RFC 7515 §7.2).',
  unprotectedHeader: 'The envelope has an unprotected "header": put alg, typ, kid and chain into "protected" only.',
  headerMembers: 'The protected header must hold exactly the texts alg, typ, kid and chain.',
  headerAlgorithm: 'The header\'s alg must be "ES256": sign with ECDSA on P-256 and SHA-256.',
  headerType: 'The header\'s typ must be "salus-tx+jws".',
  headerCritical: 'The protected header has "crit": this network knows no critical extensions; leave it out.',
  kidInvalid: 'The kid must be did:salus:<27 base64url characters>#<name>, name of 1–16 characters a–z, 0–9 and "-".',
  chainInvalid: 'The chain must be 1–50 characters A–Z, a–z, 0–9, ".", "_", "-", starting with a letter or digit.',
  chainsDiffer: 'The signatures name different chains: every signer signs for the same chain.',
  signedTwice: 'A participant signs twice: one signature for each participant, with one key.',
  signaturesMissing: 'The transaction has no signature: sign it.',
  signaturesTooMany: 'The transaction has more than 8 signatures: use separate approvals on a pending object.',
  signatureLength: 'A signature must be 64 bytes r‖s (RFC 7518 §3.4): convert DER signatures.',
  signatureHighS:
    'A signature has s > n/2: replace s by n − s, where n is the order of P-256 (0xffffffff00000000ffffffffffffffff' +
    'bce6faada7179e84f3b9cac2fc632551); the signature stays valid.',
  signatureRange: 'A signature has r or s outside 1…n−1: sign again.',
  generalWithOneSignature: 'One signature goes into the Flattened form: {"payload","protected","signature"}.',
  base64urlInvalid: 'A text is not canonical base64url: no padding, no "+" or "/", no white space, unused bits zero.',
  payloadMembers: 'The payload must be an object with exactly v, id, validUntil and messages.',
  payloadVersion: "The payload's v must be 1.",
  payloadId: "The payload's id must be the base64url text of 16 random bytes (22 characters).",
  payloadValidUntil: "The payload's validUntil must be a positive integer: milliseconds since 1970.",
  messagesMissing: "The payload's messages must be a list of at least one message.",
  messagesTooMany: 'The payload has more than 64 messages: split it into several transactions.',
  messageInvalid: 'Every message must be an object with a text "type".',
  messageType: 'A message type must be contract/message, for example "consent/grant".',
  signatureInvalid: 'A signature does not verify: check that the key belongs to the kid and that nothing was changed.',
  jsonValue: 'The value has no canonical JSON: use null, booleans, finite numbers, well-formed texts, lists, objects.',
  cborValue: 'The value cannot be stored: use null, booleans, safe integers, texts, bytes, lists and plain objects.',
  cborSyntax: 'The bytes are not complete CBOR of the kinds in use (no floats, tags, or indefinite lengths).',
  cborNotDeterministic: 'The CBOR is not in its deterministic form (RFC 8949 §4.2.1): encode it again.',
  cborTooDeep: 'The value is nested too deeply: 32 levels at most.',
  cborTooLarge: 'The encoded value is larger than 16 MiB: split it.',
  hexInvalid: 'The text is not lower-case hex with an even number of digits.',
  keyInvalid: 'The key is not a P-256 key as JWK {"kty":"EC","crv":"P-256","x","y"} with 32-byte coordinates.',
  didInvalid: 'The participant must be did:salus: followed by 27 base64url characters (20 bytes).',
  rootSecretInvalid: 'A root secret has 32 bytes: restore the wallet, or make a new secret.',
  contextInvalid: 'A context must be a text of 1–200 bytes without control characters.',
  saltInvalid: 'A salt has 32 bytes: use the one that was made with the commitment.',
  blindInvalid: 'A blinding key has 32 bytes, and a label is 1–64 characters a–z, A–Z, 0–9, ".", "_", "/" and "-".',
};

/** code → name and what to do next. */
export const errors: ReadonlyMap<number, ErrorDescription> = new Map(
  Object.entries(ProtocolErrorCodes).map(([name, code]) => [code, { name, advice: ADVICE[name as ProtocolErrorName] }]),
);

/** The error of a code with the text of the table. */
export function protocolError(code: number, options?: ErrorOptions): SalusError {
  return new SalusError(code, errors.get(code)?.advice ?? 'Unknown error.', options);
}
