import type { Engine } from './engine.js';

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A monotonic clock in whole ms. */
export function monotonicNow(): number {
  return Math.floor(performance.now());
}

/** A call into the engine. */
export type Call = (engine: Engine, now: number) => void;

/** Does what the engine wants done: an output's kind and its arguments. */
export type Perform = (output: number, a: number, b: number, c: number, d: number) => void;

/**
 * Keeps the engine's rule: after every call its outputs are drained, then one timer is set.
 *
 * While handlers run, calls wait: a delivered message counts as handled from the next call on, and
 * whether it is depends on what the handlers return.
 */
export class Loop {
  /** What has come and the engine does not know of yet. */
  arrivals: { tell(engine: Engine): void; interrupt(engine: Engine): void } | undefined;
  readonly #engine: Engine;
  readonly #perform: Perform;
  readonly #drained: (engine: Engine) => void;
  #isHolding = false;
  readonly #waiting: Call[] = [];
  #isDraining = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = -1;

  constructor(engine: Engine, perform: Perform, drained: (engine: Engine) => void) {
    this.#engine = engine;
    this.#perform = perform;
    this.#drained = drained;
  }

  /** For whoever tells it something: what it foresaw ends here. */
  get engine(): Engine {
    this.arrivals?.interrupt(this.#engine);
    return this.#engine;
  }

  /** Calls into the engine: now, or after the handlers that are running. */
  call(into: Call): void {
    if (this.#isHolding) {
      this.#waiting.push(into);
      return;
    }
    into(this.engine, monotonicNow());
    this.drain();
  }

  /** Like {@link call}, but never waits: what waited goes first. */
  callAtOnce(into: Call): void {
    this.release();
    this.call(into);
  }

  /** Makes calls wait. False if they already do. */
  hold(): boolean {
    const isFirst = !this.#isHolding;
    this.#isHolding = true;
    return isFirst;
  }

  /** Makes the calls that waited. */
  release(): void {
    this.#isHolding = false;
    if (this.#waiting.length > 0) {
      this.#callWaiting();
    }
  }

  #callWaiting(): void {
    const now = monotonicNow();
    for (const into of this.#waiting.splice(0)) {
      into(this.engine, now);
    }
    this.drain();
  }

  drain(): void {
    // An output's performance may call into the engine; the loop below sees what that caused.
    if (this.#isDraining) {
      return;
    }
    this.#isDraining = true;
    const engine = this.#engine;
    this.arrivals?.tell(engine);
    try {
      for (let output = engine.poll(); output !== 0; output = engine.poll()) {
        this.#perform(output, engine.arg_a(), engine.arg_b(), engine.arg_c(), engine.arg_d());
      }
    } finally {
      this.#isDraining = false;
    }
    this.#setTimer(engine.next_timeout());
    this.#drained(engine);
  }

  #setTimer(at: number): void {
    if (at === this.#timerAt) {
      return;
    }
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at >= 0) {
      const delay = Math.min(Math.max(at - monotonicNow(), 0), LONGEST_TIMER_MS);
      this.#timer = setTimeout(() => {
        this.#timerAt = -1;
        this.call((engine, now) => engine.timeout(now));
      }, delay);
    }
  }
}
