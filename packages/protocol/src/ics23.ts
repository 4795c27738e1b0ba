import { concatBytes, equalBytes } from './bytes.ts';
import { proofError } from './proof-errors.ts';
import type { AbsenceProof, ExistenceProof, SmtProof } from './smt.ts';
import { pathBit, pathOf } from './smt.ts';
import { readWire, type WireField, WireWriter } from './wire.ts';

/**
 * ICS-23 `cosmos.ics23.v1.CommitmentProof` of the state tree, so that any ICS-23 library checks it with its SmtSpec.
 * A proof has one encoding: decoding encodes again and compares.
 */

/** HashOp.SHA256. */
const SHA256 = 1;
const INNER_PREFIX = Uint8Array.of(1);
const hashBytes = 32;
/** SmtSpec's leaf: hash, prehash_key and prehash_value SHA-256, no length prefix, prefix 0x00. */
const LEAF_OP = new WireWriter().int(1, SHA256).int(2, SHA256).int(3, SHA256).bytes(5, Uint8Array.of(0)).finish();

function encodeExistence(proof: ExistenceProof): Uint8Array {
  const path = pathOf(proof.key);
  const writer = new WireWriter().bytes(1, proof.key).bytes(2, proof.value).message(3, LEAF_OP);
  for (let depth = proof.siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = proof.siblings[depth] as Uint8Array;
    const step = new WireWriter().int(1, SHA256);
    if (pathBit(path, depth) === 1) step.bytes(2, concatBytes(INNER_PREFIX, sibling));
    else step.bytes(2, INNER_PREFIX).bytes(3, sibling);
    writer.message(4, step.finish());
  }
  return writer.finish();
}

export function encodeCommitmentProof(proof: SmtProof): Uint8Array {
  if (proof.kind === 'existence') return new WireWriter().message(1, encodeExistence(proof)).finish();
  const absence = new WireWriter().bytes(1, proof.key);
  if (proof.left) absence.message(2, encodeExistence(proof.left));
  if (proof.right) absence.message(3, encodeExistence(proof.right));
  return new WireWriter().message(2, absence.finish()).finish();
}

function fieldBytes(fields: readonly WireField[], number: number): Uint8Array | undefined {
  const value = fields.find((field) => field.field === number)?.value;
  return typeof value === 'number' ? undefined : value;
}

/** The sibling that a step joins: behind the prefix byte where it is the left one, as suffix where it is the right. */
function siblingOf(step: Uint8Array): Uint8Array {
  const fields = readWire(step);
  const sibling = fieldBytes(fields, 3) ?? fieldBytes(fields, 2)?.slice(1);
  if (sibling?.length !== hashBytes) throw proofError('proofEncoding');
  return sibling;
}

function decodeExistence(bytes: Uint8Array): ExistenceProof {
  const fields = readWire(bytes);
  const key = fieldBytes(fields, 1);
  const value = fieldBytes(fields, 2);
  if (key?.length !== hashBytes || value?.length !== hashBytes) throw proofError('proofEncoding');
  const siblings: Uint8Array[] = [];
  for (const field of fields) {
    if (field.field === 4 && typeof field.value !== 'number') siblings.push(siblingOf(field.value));
  }
  return { kind: 'existence', key, value, siblings: siblings.reverse() };
}

function decodeAbsence(bytes: Uint8Array): AbsenceProof {
  const fields = readWire(bytes);
  const key = fieldBytes(fields, 1);
  if (key?.length !== hashBytes) throw proofError('proofEncoding');
  const left = fieldBytes(fields, 2);
  const right = fieldBytes(fields, 3);
  return { kind: 'absence', key, left: left && decodeExistence(left), right: right && decodeExistence(right) };
}

/** Whether the proof leads to a root is for `verifyMembership` and `verifyNonMembership`. Throws `proofEncoding`. */
export function decodeCommitmentProof(bytes: Uint8Array): SmtProof {
  const fields = readWire(bytes);
  const existence = fieldBytes(fields, 1);
  const absence = fieldBytes(fields, 2);
  if (!existence && !absence) throw proofError('proofEncoding');
  const proof = existence ? decodeExistence(existence) : decodeAbsence(absence as Uint8Array);
  if (!equalBytes(encodeCommitmentProof(proof), bytes)) throw proofError('proofEncoding');
  return proof;
}
