const barCells = 24;

/** A line that shows how far long work is, on a terminal only. */
export class ProgressLine {
  readonly #isShown: boolean;
  #lastMs = 0;

  constructor(isWanted: boolean, stream: NodeJS.WriteStream = process.stderr) {
    this.#isShown = isWanted && stream.isTTY === true;
  }

  show(share: number, text: string): void {
    const nowMs = performance.now();
    if (!this.#isShown || (nowMs - this.#lastMs < 100 && share < 1)) return;
    this.#lastMs = nowMs;
    const cells = Math.round(share * barCells);
    process.stderr.write(`\r\u001b[K${'█'.repeat(cells)}${'░'.repeat(barCells - cells)} ${text}`);
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\u001b[K');
  }
}
