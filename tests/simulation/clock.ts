import { AsyncLocalStorage } from 'node:async_hooks';

/** One run of one process, until it ends or its power is cut: what belongs to a life that is over never happens. */
export class Life {
  readonly name: string;
  readonly over: Promise<void>;
  #isOver = false;
  #end: () => void = () => undefined;

  constructor(name: string) {
    this.name = name;
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
    this.#end();
  }
}

type Task = {
  atMs: number;
  order: number;
  life: Life | undefined;
  run: () => void;
  repeatMs: number | undefined;
  isCancelled: boolean;
};

const lives = new AsyncLocalStorage<Life | undefined>();
const real = { setImmediate: globalThis.setImmediate };

/** What belongs to which life follows promises and timers by itself (AsyncLocalStorage). */
export function living(): Life | undefined {
  return lives.getStore();
}

export function liveAs<T>(life: Life | undefined, action: () => T): T {
  return lives.run(life, action);
}

/** Turns of the real event loop until every promise that can settle has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => real.setImmediate(resolve));
}

class Timer {
  readonly task: Task;

  constructor(task: Task) {
    this.task = task;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

/**
 * Time of one simulation. While it is installed, every timer, clock and turn of the event loop of this process is its:
 * one task after the other, in the order of their times, each run to where nothing but a later task can go on.
 */
export class SimulatedClock {
  nowMs: number;
  tasksDone = 0;
  /** Whether what happens now is the turn of an interval. */
  isInterval = false;
  readonly #startMs: number;
  #heap: Task[] = [];
  #order = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
    this.#startMs = startMs;
  }

  /** Replaces the process's own; call the answer to bring them back. */
  install(): () => void {
    const names = [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'clearInterval',
      'setImmediate',
      'clearImmediate',
    ] as const;
    const saved = names.map((name) => globalThis[name]);
    const { now } = Date;
    const performanceNow = performance.now;
    const after = (delayMs: number | undefined, run: () => void, repeats = false): Timer => {
      const wait = Math.max(repeats ? 1 : 0, delayMs ?? 0);
      return new Timer(this.#add(wait, run, repeats ? wait : undefined));
    };
    const clear = (timer: Timer | undefined): void => {
      if (timer) timer.task.isCancelled = true;
    };
    const own: Record<(typeof names)[number], unknown> = {
      setTimeout: (run: (...values: unknown[]) => void, delayMs?: number, ...values: unknown[]) =>
        after(delayMs, () => run(...values)),
      setInterval: (run: () => void, delayMs?: number) => after(delayMs, run, true),
      setImmediate: (run: (...values: unknown[]) => void, ...values: unknown[]) => after(0, () => run(...values)),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    };
    Object.assign(globalThis, own);
    Date.now = () => Math.floor(this.nowMs);
    performance.now = () => this.nowMs - this.#startMs;
    return () => {
      for (const [index, name] of names.entries()) Object.assign(globalThis, { [name]: saved[index] });
      Date.now = now;
      performance.now = performanceNow;
    };
  }

  /** Happens `delayMs` from now if the life of whoever asks, or the one that is given, still goes on then. */
  after(delayMs: number, run: () => void, life = living()): void {
    liveAs(life, () => this.#add(delayMs, run, undefined));
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Lets time go on until `goal` settles; throws where nothing is left that could happen, or too much has. */
  async run<T>(goal: Promise<T>, tasksMax: number): Promise<T> {
    let outcome: { value: T } | { error: unknown } | undefined;
    goal.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    await settled();
    while (!outcome) {
      const task = this.#take();
      if (!task) throw new Error('the simulation stands still: nothing is left that could happen');
      this.tasksDone += 1;
      if (this.tasksDone > tasksMax) throw new Error(`the simulation does not end: ${tasksMax} tasks were done`);
      this.nowMs = Math.max(this.nowMs, task.atMs);
      this.isInterval = task.repeatMs !== undefined;
      liveAs(task.life, task.run);
      if (task.repeatMs !== undefined && !task.isCancelled) {
        this.#push({ ...task, atMs: this.nowMs + task.repeatMs, order: this.#nextOrder() }, task);
      }
      await settled();
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  #nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  #add(delayMs: number, run: () => void, repeatMs: number | undefined): Task {
    const task: Task = {
      atMs: this.nowMs + delayMs,
      order: this.#nextOrder(),
      life: living(),
      run,
      repeatMs,
      isCancelled: false,
    };
    this.#insert(task);
    return task;
  }

  /** A repeated task stays the object that its timer cancels. */
  #push({ atMs, order }: Task, task: Task): void {
    task.atMs = atMs;
    task.order = order;
    this.#insert(task);
  }

  #insert(task: Task): void {
    const heap = this.#heap;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(task, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = task;
  }

  #take(): Task | undefined {
    for (;;) {
      const task = this.#pop();
      if (!task || !(task.isCancelled || task.life?.isOver)) return task;
    }
  }

  #pop(): Task | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || first === last) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(left: Task, right: Task): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
