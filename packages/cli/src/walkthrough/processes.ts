import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const stopMsMax = 20_000;

/** Another process of this command, answering with a line of JSON at a time. */
class Process {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#child = spawn(process.execPath, [main, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    const lines: Interface = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('The other process ended before it answered.');
    return value;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    await ended;
    clearTimeout(timer);
  }
}

/** A node in a process of its own. */
export class NodeProcess {
  readonly url: string;
  readonly #process: Process;

  private constructor(url: string, process: Process) {
    this.url = url;
    this.#process = process;
  }

  static async start(dataDir: string): Promise<NodeProcess> {
    const process = new Process(['start', '--data', dataDir, '--port', '0', '--json']);
    const { url } = JSON.parse(await process.line());
    return new NodeProcess(url, process);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

/** A patient's wallet in a process of its own: it has its own directory, and the node's only over HTTP. */
export class WalletProcess {
  readonly #process: Process;

  constructor(dir: string, passphrase: string, environment: Readonly<Record<string, string>> = {}) {
    const env = { ...environment, SALUS_WALLET_PASSPHRASE: passphrase };
    this.#process = new Process(['wallet', 'session', '--wallet', dir], env);
  }

  /** The output of a command; throws what the wallet refused. */
  async run<T>(...args: string[]): Promise<T> {
    this.#process.write(JSON.stringify(args));
    const { code, output } = JSON.parse(await this.#process.line());
    if (code !== 0) throw new Error(`wallet ${args[0]}: ${output?.code} ${output?.title}`);
    return output;
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}
