import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import {
  compareBackwards,
  compareClients,
  compareEvidence,
  compareSteps,
} from '../../../packages/protocol/src/light-cases.ts';

/** Prints one JSON object: how many cases of a file were compared, and those in which the two light clients differ. */
const cases = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const compared = [
  ...(await compareSteps(cases)),
  ...(await compareBackwards(cases)),
  ...(await compareClients(cases)),
  ...(await compareEvidence(cases)),
];
const differing = compared.filter(({ comet, salus }) => !isDeepStrictEqual(comet, salus));
console.log(JSON.stringify({ compared: compared.length, differing }));
