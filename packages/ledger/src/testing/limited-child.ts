import { SalusError } from '@salus/protocol';
import { openLedger } from '../index.ts';
import { makeKernel, makeNetwork, stampTransaction } from './fixture.ts';

/**
 * A process whose files may not grow beyond what the shell allowed it: submits until the store cannot be written, and
 * says on stdout what was acknowledged until then, how it is refused from then on, and how the ledger closes.
 */
const [, , dir = '', segmentBytes = ''] = process.argv;
const lanes = 40;
const roundsMax = 200;
const network = makeNetwork(4);
const ledger = await openLedger({
  dir,
  genesis: network.genesis,
  validatorKey: network.validatorKey,
  kernel: makeKernel(),
  verifyWorkers: 1,
  segmentBytes: Number(segmentBytes),
});

const codeOf = (error: unknown): number | string => (error instanceof SalusError ? error.code : String(error));
const acknowledged: string[] = [];
let count = 0;

async function submit(): Promise<number | string> {
  count += 1;
  const participant = network.participants[count % network.participants.length];
  if (!participant) throw new Error('the network has nobody');
  const bytes = await stampTransaction(network, participant, `limited ${count}`);
  return ledger.submit(bytes).then(({ hash, code }) => {
    acknowledged.push(hash);
    return code;
  }, codeOf);
}

let flushed: number | string = 0;
for (let round = 0; flushed === 0 && round < roundsMax; round += 1) {
  await Promise.all(Array.from({ length: lanes }, submit));
  flushed = await ledger.flush().then(() => 0, codeOf);
}
const { ok, problem } = ledger.status();
const read = (await ledger.transaction(acknowledged[0] ?? ''))?.code;
const submitted = await submit();
const closed = await ledger.close().then(() => 0, codeOf);
console.log(JSON.stringify({ acknowledged, flushed, ok, problem, read, submitted, closed }));
