import * as Delivery from '../../generated/engine/delivery.js';
import type { Engine } from '../engine/engine.js';
import type { Loop } from '../engine/loop.js';
import type { Ids } from './ids.js';

/**
 * What the engine says of messages. It foresees what it would say of the next ones: those it is told of
 * together, before it is told of anything else.
 */
export class Arrivals {
  readonly #loop: Loop;
  readonly #ids: Ids;
  #conn = 0;
  /** The last message, and whether the engine knows of it. */
  #seq = 0;
  #id: string | null = null;
  #isTold = true;
  /** How many more are foreseen, and what the engine says of them. */
  #foreseen = 0;
  #bits = 0;

  constructor(loop: Loop, ids: Ids) {
    this.#loop = loop;
    this.#ids = ids;
    loop.arrivals = this;
  }

  /** Answers bits of generated/engine/delivery.ts. `seq` is 0 for a live-only message. */
  message(
    conn: number,
    seq: number,
    id: string | null,
    handlers: number,
    isHeld: boolean,
    size: number,
  ): number {
    if (this.#foreseen > 0 && seq === this.#seq + 1 && handlers > 0 && conn === this.#conn) {
      this.#foreseen -= 1;
      this.#seq = seq;
      this.#id = id;
      this.#isTold = false;
      return this.#bits;
    }
    const { engine } = this.#loop;
    const number = id === null ? 0 : this.#ids.next();
    const bits = isHeld
      ? engine.held_message(conn, seq, number, size)
      : engine.message(conn, seq, number, handlers, size);
    if (bits & Delivery.REACHED) {
      this.#ids.reached(number, id);
    }
    this.#conn = conn;
    this.#seq = seq;
    this.#bits = bits & (Delivery.DELIVER | Delivery.REPLAYED);
    this.#foreseen = this.#bits & Delivery.DELIVER ? Math.floor(bits / Delivery.FORESEEN) : 0;
    return bits;
  }

  /** Before the engine is called for anything else. */
  tell(engine: Engine): void {
    this.#foreseen = 0;
    if (!this.#isTold) {
      this.#isTold = true;
      const number = this.#id === null ? 0 : this.#ids.next();
      engine.passed(this.#conn, this.#seq, number);
      this.#ids.reached(number, this.#id);
    }
  }
}
