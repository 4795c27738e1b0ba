import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const wireFile = fileURLToPath(new URL('../../../.build/network-wire', import.meta.url));
const bridges = ['one', 'two'] as const;
const octetsMax = 250;

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function messageOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr || message).trim();
}

/** Why this machine cannot have namespaces with links of their own; undefined where it can. */
export function namespacesProblem(): string | undefined {
  if (!existsSync(wireFile)) return 'the program of the links is not built: use tests/network/faults/run';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  const name = `salus-probe-${process.pid}`;
  try {
    ip('netns', 'add', name);
    try {
      ip('netns', 'exec', name, wireFile, 'probe0', 'probe1');
      return undefined;
    } finally {
      ip('netns', 'del', name);
    }
  } catch (error) {
    return `no network namespaces with TAP devices here: ${messageOf(error)}`;
  }
}

/**
 * Network namespaces, one for each member, whose links meet in two bridges in a namespace of their own: a bridge for
 * each side of a partition. A second link joins each member to this machine alone, so that a test can ask it whatever
 * becomes of the first. Addresses are of the block for tests of network devices (RFC 2544 C.2.2).
 */
export class Namespaces {
  readonly #tag = process.pid.toString(36);
  readonly #octet = process.pid % octetsMax;
  readonly #size: number;
  readonly #wire: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(size: number) {
    this.#size = size;
    ip('netns', 'add', this.#switch);
    for (const bridge of bridges) {
      ip('-n', this.#switch, 'link', 'add', bridge, 'type', 'bridge');
      ip('-n', this.#switch, 'link', 'set', bridge, 'up');
    }
    const names = Array.from({ length: size }, (_, index) => [this.#inner(index), this.#outer(index)]).flat();
    this.#wire = spawn('ip', ['netns', 'exec', this.#switch, wireFile, ...names], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#wire.stdout! })[Symbol.asyncIterator]();
  }

  static async make(size: number): Promise<Namespaces> {
    const made = new Namespaces(size);
    if ((await made.#answers.next()).value !== 'ready') throw new Error('the links could not be made');
    for (let index = 0; index < size; index += 1) made.#connect(index);
    return made;
  }

  name(index: number): string {
    return `salus-${this.#tag}-${index}`;
  }

  /** Where the member listens. */
  address(index: number): string {
    return `198.18.${this.#octet}.${index + 1}`;
  }

  /** What makes a command run in the namespace, in the place of its own process. */
  prefix(index: number): string[] {
    return ['ip', 'netns', 'exec', this.name(index)];
  }

  /** These members on one side, all others on the other. */
  part(side: readonly number[]): void {
    for (let index = 0; index < this.#size; index += 1) {
      ip('-n', this.#switch, 'link', 'set', this.#outer(index), 'master', side.includes(index) ? 'two' : 'one');
    }
  }

  heal(): void {
    this.part([]);
  }

  /** Of every frame that a member sends. */
  async set(what: 'delay' | 'loss', value: number): Promise<void> {
    await this.#say(`${what} ${value}`);
  }

  async stats(): Promise<{ carried: number; lost: number }> {
    const [carried, lost] = (await this.#say('stats')).split(' ').map(Number);
    return { carried: carried ?? 0, lost: lost ?? 0 };
  }

  /** Milliseconds until one member's connection to another stands; undefined where it does not in time. */
  connectMs(from: number, to: number, port: number, waitMs: number): number | undefined {
    const program = `
      const begin = performance.now();
      const socket = require('node:net').connect(${port}, '${this.address(to)}', () => {
        console.log(performance.now() - begin);
        process.exit(0);
      });
      socket.on('error', () => process.exit(0));
      setTimeout(() => process.exit(0), ${waitMs});`;
    const text = ip('netns', 'exec', this.name(from), process.execPath, '-e', program);
    return text.trim() === '' ? undefined : Number(text);
  }

  async remove(): Promise<void> {
    const ended = new Promise((resolve) => this.#wire.once('exit', resolve));
    this.#wire.stdin?.end();
    await ended;
    for (let index = 0; index < this.#size; index += 1) ip('netns', 'del', this.name(index));
    ip('netns', 'del', this.#switch);
  }

  get #switch(): string {
    return `salus-${this.#tag}-switch`;
  }

  #inner(index: number): string {
    return `in${index}`;
  }

  #outer(index: number): string {
    return `out${index}`;
  }

  async #say(line: string): Promise<string> {
    this.#wire.stdin?.write(`${line}\n`);
    return String((await this.#answers.next()).value);
  }

  #connect(index: number): void {
    const name = this.name(index);
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', this.#switch, 'link', 'set', this.#inner(index), 'netns', name);
    ip('-n', name, 'addr', 'add', `${this.address(index)}/24`, 'dev', this.#inner(index));
    ip('-n', name, 'link', 'set', this.#inner(index), 'up');
    ip('-n', this.#switch, 'link', 'set', this.#outer(index), 'master', 'one', 'up');
    // Beside it, for the test alone.
    const link = `salus${this.#tag}${index}`;
    const [ours, theirs] = [1, 2].map((host) => `198.19.${this.#octet}.${4 * index + host}`) as [string, string];
    ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'test', 'netns', name);
    ip('addr', 'add', `${ours}/30`, 'dev', link);
    ip('link', 'set', link, 'up');
    ip('-n', name, 'addr', 'add', `${theirs}/30`, 'dev', 'test');
    ip('-n', name, 'link', 'set', 'test', 'up');
    ip('route', 'add', `${this.address(index)}/32`, 'dev', link);
  }
}
