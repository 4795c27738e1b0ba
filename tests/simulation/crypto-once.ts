/**
 * In place of `node:crypto` where signatures are checked. In one process every member checks the same signatures under
 * the same keys, and each again after a restart: the answer to the same key, text and signature is worked out once, by
 * the real `verify`. Who asks, when, and with which key, stays as it is.
 */
import { type KeyObject, createPublicKey as realCreatePublicKey, verify as realVerify } from 'node:crypto';

type PublicKeyInput = { key: { x: string; y: string }; format: 'jwk' };

const answersMax = 20_000;
const keys = new Map<string, KeyObject>();
const answers = new Map<KeyObject, Map<string, boolean>>();
let answersCount = 0;

export function createPublicKey(input: PublicKeyInput): KeyObject {
  const point = `${input.key.x} ${input.key.y}`;
  const known = keys.get(point);
  if (known) return known;
  const made = realCreatePublicKey(input as unknown as Parameters<typeof realCreatePublicKey>[0]);
  keys.set(point, made);
  return made;
}

export function verify(algorithm: string, input: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  const question = `${Buffer.from(signature).toString('latin1')}${Buffer.from(input).toString('latin1')}`;
  let ofKey = answers.get(key);
  if (!ofKey || answersCount > answersMax) {
    if (ofKey) answers.clear();
    answersCount = 0;
    ofKey = new Map();
    answers.set(key, ofKey);
  }
  const known = ofKey.get(question);
  if (known !== undefined) return known;
  const answer = realVerify(algorithm, input, key, signature);
  ofKey.set(question, answer);
  answersCount += 1;
  return answer;
}
