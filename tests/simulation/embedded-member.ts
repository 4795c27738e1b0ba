import type { GenesisDocument, Kernel } from '@salus/contracts';
import { directoryState } from '../../packages/ledger/src/directory.ts';
import type { CommittedBlock } from '../../packages/ledger/src/embedded/engine.ts';
import { Ledger } from '../../packages/ledger/src/ledger.ts';
import { heartbeatMs } from '../../packages/ledger/src/limits.ts';
import { Life, liveAs, type SimulatedClock } from './clock.ts';
import { validatorSeed } from './consortium.ts';
import type { SimulatedDisk } from './disk.ts';
import { type Decided, type Network, runs } from './network.ts';

const dir = '/sim/embedded';
const segmentBytes = 48 * 1024;
const restartMs = 200;

export type EmbeddedParts = {
  clock: SimulatedClock;
  disk: SimulatedDisk;
  genesis: GenesisDocument;
  kernel: Kernel;
  network: Network;
};

/**
 * The embedded engine over the blocks that the others decided: it gets the transactions of each, at its time, and makes
 * a block of its own of them. It is given a run of blocks when the empty one behind it is decided, because it makes the
 * block that proves the last one by itself and at once.
 */
export class EmbeddedMember {
  ledger: Ledger | undefined;
  /** Blocks that it made and that are on its disk, compared with the others'. */
  height = 0;
  readonly disk: SimulatedDisk;
  readonly #parts: EmbeddedParts;
  #life: Life | undefined;
  #given = 0;
  /** Its heartbeat looks at the clock whether a block is due, and again for its time. */
  #isLooking = false;

  constructor(parts: EmbeddedParts) {
    this.#parts = parts;
    this.disk = parts.disk;
  }

  start(): void {
    if (this.#life) return;
    const life = new Life('embedded');
    this.#life = life;
    liveAs(life, () => {
      this.#live(life).catch((error: unknown) => {
        if (!life.isOver) this.#parts.network.embeddedFailed(error as Error);
      });
    });
  }

  stop(isPowerCut: boolean): void {
    this.#life?.end();
    this.#life = undefined;
    this.ledger = undefined;
    if (isPowerCut) this.disk.cutPower();
    else this.disk.abandon();
  }

  async #live(life: Life): Promise<void> {
    const { clock, disk, genesis, kernel, network } = this.#parts;
    await clock.sleep(restartMs);
    // A new chain's first block is made at once: how its run ends must be decided.
    while (network.chain.every(runs)) await network.nextBlock();
    const files = disk.files();
    if (directoryState(files, dir) === 'incomplete') {
      if (this.height > 0) network.fail('the embedded engine has lost the directory that it had');
      network.trace.note('embedded', 'begins anew');
      disk.wipe();
    }
    const ledger = await Ledger.open({
      dir,
      genesis,
      kernel,
      files,
      validatorKey: validatorSeed,
      verifyWorkers: 2,
      segmentBytes,
      clock: () => this.#timeMs(),
    });
    const head = ledger.head();
    network.trace.note('embedded', 'opened', head.height, head.appHash);
    if (head.height < this.height)
      network.fail(`the embedded engine lost block ${this.height} that it had acknowledged`);
    this.ledger = ledger;
    this.height = head.height;
    this.#given = head.height;
    ledger.subscribe((block) => this.#made(block));
    this.#give();
    for (;;) {
      await network.nextBlock();
      if (life.isOver) return;
      if (this.#given === this.height) this.#give();
    }
  }

  /** Time of the block that it is to make next; a pause where that is not decided. */
  #timeMs(): number {
    const { network, clock, genesis } = this.#parts;
    const last = this.height > 0 ? network.decided(this.height).timeMs : genesis.timeMs;
    if (this.height >= network.height()) return last;
    const next = network.decided(this.height + 1);
    if (!clock.isInterval) return next.timeMs;
    // Its heartbeat does not look whether transactions are being verified: those of the decided block come first.
    if (runs(next)) return last;
    // What cannot run it has in no block: where the others needed one for it, its heartbeat comes as early.
    this.#isLooking = !this.#isLooking && next.txs.length > 0;
    return this.#isLooking ? last + heartbeatMs : next.timeMs;
  }

  /** The transactions of the next block, when how its run ends is decided; blocks without any it makes by itself. */
  #give(): void {
    const { network } = this.#parts;
    if (!this.ledger || this.height >= network.height()) return;
    if (network.chain.slice(this.height).every(runs)) return;
    const block = network.decided(this.height + 1);
    this.#given = block.height;
    for (const [index, tx] of block.txs.entries()) {
      if (!block.unfit.has(index)) this.#submit(this.ledger, block, tx);
    }
  }

  #submit(ledger: Ledger, { height }: Decided, tx: Uint8Array): void {
    const { network } = this.#parts;
    ledger.submit(tx).then(
      (result) => {
        if (result.height !== height) network.embeddedFailed(new Error(`block ${height} came at ${result.height}`));
      },
      (error: Error) => network.embeddedFailed(new Error(`block ${height}: ${error.message}`)),
    );
  }

  #made(block: CommittedBlock): void {
    const { network } = this.#parts;
    const { height, timeMs } = block;
    const appHash = this.ledger?.head().appHash ?? '';
    this.height = height;
    const results = block.results.map(({ code, data, cost }) => `${code} ${data} ${cost}`);
    network.trace.note('embedded', 'made', height, appHash);
    const decided = network.decided(height);
    const isSame =
      decided !== undefined &&
      decided.timeMs === timeMs &&
      decided.hashes.filter((_hash, index) => !decided.unfit.has(index)).join() ===
        block.transactions.map(({ hash }) => hash).join();
    if (!isSame) {
      network.embeddedFailed(new Error(`it made another block ${height} at ${timeMs}`));
      return;
    }
    network.embeddedMade(height, appHash, results);
    this.#give();
  }
}
