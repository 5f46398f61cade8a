import type { TetherlineError } from '../errors.js';
import type { Handlers } from '../messages/handlers.js';
import { Inbound } from '../messages/inbound.js';
import type { Reporter } from '../page/report.js';
import type { ShownStreams } from '../streams/shown-streams.js';
import type { Engine } from './engine.js';
import { type Call, Loop, type Perform } from './loop.js';
import { createEngine } from './wasm.js';

/** The engine with the loop that drives it, made on first use. Until it is there, calls wait for it. */
export class Machine {
  loop: Loop | undefined;
  inbound: Inbound | undefined;
  /** Until the engine is made, or cannot be: at once in most browsers. */
  starting: Promise<void> | null = null;
  readonly #perform: Perform;
  readonly #drained: (engine: Engine) => void;
  #early: Call[] = [];
  #complaint = '';

  constructor(perform: Perform, drained: (engine: Engine) => void) {
    this.#perform = perform;
    this.#drained = drained;
  }

  /** Unless it is there, or is being made. */
  start(
    streams: ShownStreams,
    handlers: Handlers,
    report: Reporter,
    failed: (error: TetherlineError) => void,
  ): void {
    const begin = (engine: Engine) => {
      const loop = new Loop(engine, this.#perform, this.#drained);
      const store = streams.open(loop, report);
      this.starting = null;
      this.loop = loop;
      this.inbound = new Inbound(loop, handlers, report, store);
      for (const into of this.#early.splice(0)) {
        loop.call(into);
      }
    };
    if (this.loop || this.starting) {
      return;
    }
    const engine = createEngine();
    if (engine instanceof Promise) {
      this.starting = engine.then(begin, (reason: unknown) => {
        // Nothing else is thrown in there.
        const error = reason as TetherlineError;
        this.starting = null;
        // Whoever signs in again, as React does, is not told the same again.
        if (error.message !== this.#complaint) {
          this.#complaint = error.message;
          report.problem(error.message, error.cause);
        }
        failed(error);
      });
    } else {
      begin(engine);
    }
  }

  call(into: Call): void {
    if (this.loop) {
      this.loop.call(into);
    } else {
      this.#early.push(into);
    }
  }

  callAtOnce(into: Call): void {
    this.loop?.release();
    this.call(into);
  }

  /** As {@link callAtOnce}, for a goodbye: what has not begun need not be ended. */
  end(goodbye: Call): void {
    this.#early = [];
    this.loop?.callAtOnce(goodbye);
  }
}
