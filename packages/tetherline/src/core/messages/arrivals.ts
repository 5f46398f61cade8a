import * as Delivery from '../../generated/engine/delivery.js';
import type { Engine } from '../engine/engine.js';
import type { Loop } from '../engine/loop.js';
import type { Ids } from './ids.js';

/** Messages that the engine foresees, and what it would say of each. */
interface Run {
  readonly conn: number;
  readonly bits: number;
  /** How many more. */
  left: number;
  /** The last that came, and whether the engine knows of it. */
  seq: number;
  id: string | undefined;
  isTold: boolean;
}

/**
 * What the engine says of messages. It foresees what it would say of the next ones: those it is told of
 * together, before it is told of anything else.
 */
export class Arrivals {
  readonly #loop: Loop;
  readonly #ids: Ids;
  // Made anew for each run: for the collector a young object may be written to for less than an old one.
  #run: Run = { conn: 0, bits: 0, left: 0, seq: 0, id: undefined, isTold: true };

  constructor(loop: Loop, ids: Ids) {
    this.#loop = loop;
    this.#ids = ids;
    loop.arrivals = this;
  }

  /** A message that has a handler: bits of generated/engine/delivery.ts if it is foreseen, 0 if not. */
  foreseen(conn: number, seq: number, id: string | undefined): number {
    const run = this.#run;
    if (run.left > 0 && seq === run.seq + 1 && conn === run.conn) {
      run.left -= 1;
      run.seq = seq;
      run.id = id;
      run.isTold = false;
      return run.bits;
    }
    return 0;
  }

  /** Any other: asks the engine for its bits. `seq` is 0 for a live-only message. */
  message(
    conn: number,
    seq: number,
    id: string | undefined,
    handlers: number,
    isHeld: boolean,
    size: number,
  ): number {
    const { engine } = this.#loop;
    const number = seq === 0 ? 0 : this.#ids.next(id);
    const bits = isHeld
      ? engine.held_message(conn, seq, number, size)
      : engine.message(conn, seq, number, handlers, size);
    if (bits & Delivery.REACHED) {
      this.#ids.reached(number, id);
    }
    this.#run = {
      conn,
      bits: bits & (Delivery.DELIVER | Delivery.REPLAYED),
      left: bits & Delivery.DELIVER ? Math.floor(bits / Delivery.FORESEEN) : 0,
      seq,
      id: undefined,
      isTold: true,
    };
    return bits;
  }

  /** The engine is about to be told of something else: nothing is foreseen any more. */
  interrupt(engine: Engine): void {
    this.tell(engine);
    this.#run.left = 0;
  }

  /** Before the engine is asked for anything else. */
  tell(engine: Engine): void {
    const run = this.#run;
    if (!run.isTold) {
      run.isTold = true;
      const number = this.#ids.next(run.id);
      engine.passed(run.conn, run.seq, number);
      this.#ids.reached(number, run.id);
    }
  }
}
