import { writeSync } from 'node:fs';
import { openLedger } from '../index.ts';
import { makeKernel, makeNetwork, stampTransaction } from './fixture.ts';

/** A process that submits without end and says on stdout, at once, what was acknowledged; it waits to be killed. */
const [, , dir = '', run = '', lanes = '40', members = '4'] = process.argv;
const network = makeNetwork(Number(members));
const ledger = await openLedger({
  dir,
  genesis: network.genesis,
  validatorKey: network.validatorKey,
  kernel: makeKernel(),
});
writeSync(1, 'ready\n');

async function lane(number: number): Promise<void> {
  const participant = network.participants[number % network.participants.length];
  for (let count = 0; participant; count += 1) {
    const bytes = await stampTransaction(network, participant, `${run} ${number} ${count}`);
    const { hash, code } = await ledger.submit(bytes);
    writeSync(1, `${code === 0 ? hash : `refused ${code}`}\n`);
  }
}

await Promise.all(Array.from({ length: Number(lanes) }, (_, number) => lane(number)));
