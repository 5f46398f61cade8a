import * as Delivery from '../../generated/engine/delivery.js';
import { HELD_BYTES_MAX, HELD_MESSAGES_MAX } from '../../generated/protocol.js';
import { type Loop, monotonicNow } from '../engine/loop.js';
import { TetherlineError } from '../errors.js';
import type { Reporter } from '../page/report.js';
import type { Session } from '../session.js';
import type { Message, MessageMeta } from '../types.js';
import { Arrivals } from './arrivals.js';
import {
  callHandlers,
  type Handlers,
  NO_PROMISES,
  type Promises,
  type Registrations,
} from './handlers.js';
import type { Ids } from './ids.js';
import type { ParkedMessage } from './parked.js';

/** Callbacks of the application, made once the engine is drained. */
type News = (() => void)[];

/** From a message to its handlers: who gets it, when, and when it counts as handled. */
export class Deliveries {
  readonly #loop: Loop;
  readonly #handlers: Handlers;
  readonly #report: Reporter;
  readonly #arrivals: Arrivals;
  #hasNewHandlers = false;

  constructor(loop: Loop, handlers: Handlers, report: Reporter, ids: Ids) {
    this.#loop = loop;
    this.#arrivals = new Arrivals(loop, ids);
    this.#handlers = handlers;
    this.#report = report;
  }

  /**
   * A message of the application; `seq` is 0 for a live-only one.
   *
   * This runs for every message. What few of them need is in functions of its own, so that the browser
   * compiles the rest as one.
   */
  message(session: Session, conn: number, frame: Message, seq: number, size: number): void {
    const id = typeof frame.id === 'string' ? frame.id : undefined;
    const registrations = this.#handlers.of(frame.type);
    const bits = registrations.length > 0 ? this.#arrivals.foreseen(conn, seq, id) : 0;
    if (bits === 0) {
      this.#unforeseen(session, conn, frame, seq, id, size);
    } else {
      const meta = { seq, id, replayed: (bits & Delivery.REPLAYED) !== 0 };
      this.#deliver(session, registrations, this.#handlers.observers, frame, meta);
    }
  }

  #unforeseen(
    session: Session,
    conn: number,
    frame: Message,
    seq: number,
    id: string | undefined,
    size: number,
  ): void {
    const { observers } = this.#handlers;
    const registrations = this.#handlers.of(frame.type);
    // Who sees every message keeps none from waiting for its own handler.
    const count = registrations.length || (seq === 0 ? observers.length : 0);
    const isHeld = seq !== 0 && count === 0 && this.#handlers.isHeld(frame.type);
    const bits = this.#arrivals.message(conn, seq, id, count, isHeld, size);
    const replayed = (bits & Delivery.REPLAYED) !== 0;
    const meta: MessageMeta = { seq: seq === 0 ? undefined : seq, id, replayed };
    if (bits & Delivery.DELIVER) {
      this.#deliver(session, registrations, observers, frame, meta);
    } else if (bits & Delivery.PARK) {
      this.#park(session, { message: frame, meta, size, isHeld, seen: undefined }, observers);
    } else if (bits & Delivery.UNHANDLED) {
      this.#unhandled(session, frame, meta, observers);
    } else if (seq === 0 && count === 0) {
      this.#report.unheard(frame.type);
    }
    if (bits & Delivery.POLL) {
      this.#loop.drain();
    }
  }

  /** It has no handler of its own. */
  #unhandled(session: Session, frame: Message, meta: MessageMeta, observers: Registrations): void {
    if (observers.length > 0) {
      this.#deliver(session, observers, [], frame, meta);
      return;
    }
    const isOutermost = this.#loop.hold();
    this.#report.unhandled(frame, meta);
    if (isOutermost) {
      this.#loop.release();
    }
  }

  /** A frame of the protocol, for those who handle its type. */
  frame(session: Session, frame: Message): void {
    this.#deliver(session, this.#handlers.of(frame.type), [], frame, { replayed: false });
  }

  /** Somebody may now want what is parked. Waits for those who register in the same breath. */
  handlersChanged(session: () => Session | null): void {
    if (!this.#hasNewHandlers) {
      this.#hasNewHandlers = true;
      queueMicrotask(() => {
        const current = session();
        if (current) {
          this.deliverParked(current);
        }
      });
    }
  }

  /** Before anything newer is looked at, so that the order stays what it was. */
  deliverParked(session: Session): void {
    if (this.#hasNewHandlers) {
      this.#hasNewHandlers = false;
      this.#deliverParked(session);
    }
  }

  #deliverParked(session: Session): void {
    const { observers } = this.#handlers;
    if (observers.length > 0) {
      session.parked.all.forEach((parked) => this.#show(session, parked, observers));
    }
    for (const parked of session.parked.take((each) => this.#isSettledFor(each))) {
      if (session.isLive) {
        const { message, meta, seen } = parked;
        const registrations = this.#handlers.of(message.type);
        this.#loop.engine.unpark(meta.seq ?? 0, monotonicNow());
        if (registrations.length > 0) {
          this.#deliver(session, registrations, seen ? [] : observers, message, meta, seen);
        } else if (this.#isUnhandled(session, parked)) {
          this.#report.unhandled(message, meta);
        }
      }
    }
    this.#loop.drain();
  }

  /** The engine waits no longer for handlers, but of held types. What is to be told goes into `news`. */
  graceOver(session: Session, news: News): void {
    this.#giveUp(session, ({ isHeld }) => !isHeld, news);
  }

  /** One is parked no longer: too many are, or its history is no more, and nobody hears of it. */
  dropped(session: Session, seq: number, isGivenUp: boolean, news: News): void {
    const isIt = ({ meta }: ParkedMessage) => meta.seq === seq;
    if (isGivenUp) {
      this.#giveUp(session, isIt, news);
    } else {
      session.parked.take(isIt);
    }
  }

  /** A handler has not settled in time. */
  timedOut(session: Session, seq: number, news: News): void {
    const message = session.held.get(seq);
    if (message && session.held.delete(seq)) {
      const error = new TetherlineError(
        'handler_timeout',
        `A handler for "${message.type}" has not settled in time; the message counts as handled.`,
      );
      news.push(() => this.#report.handlerFailed(error, message));
    }
  }

  /** What is parked of these types outlives the grace window. */
  keepParked(session: Session): void {
    for (const parked of session.parked.all) {
      if (!parked.isHeld && this.#handlers.isHeld(parked.message.type)) {
        parked.isHeld = true;
        this.#loop.engine.keep(parked.meta.seq ?? 0);
      }
    }
  }

  #giveUp(session: Session, isMeant: (parked: ParkedMessage) => boolean, news: News): void {
    for (const parked of session.parked.take(isMeant)) {
      if (this.#isUnhandled(session, parked)) {
        news.push(() => session.isLive && this.#report.unhandled(parked.message, parked.meta));
      }
    }
  }

  /** A handler has come; or the type was held, and is no more. */
  #isSettledFor({ message: { type }, isHeld }: ParkedMessage): boolean {
    return this.#handlers.of(type).length > 0 || (isHeld && !this.#handlers.isHeld(type));
  }

  #park(session: Session, parked: ParkedMessage, observers: Registrations): void {
    session.parked.add(parked);
    if (observers.length > 0) {
      this.#show(session, parked, observers);
    }
    if (parked.isHeld && this.#report.isDebugging && isFull(session.parked.all)) {
      this.#report.debug(
        'So many messages of held types wait that no more is read before a handler registers:',
        [
          ...new Set(
            session.parked.all.filter((each) => each.isHeld).map((each) => each.message.type),
          ),
        ],
      );
    }
  }

  /** To those who see every message, whether or not a handler of its own is there yet. */
  #show(session: Session, parked: ParkedMessage, observers: Registrations): void {
    if (parked.seen === undefined) {
      parked.seen = [];
      const message = this.#report.checked(parked.message);
      const isOutermost = this.#loop.hold();
      const promises = message ? this.#call(session, observers, message, parked.meta) : NO_PROMISES;
      if (isOutermost) {
        this.#loop.release();
      }
      // Nobody looks at them before the message is settled for, which may be never.
      parked.seen = promises.map((promise) =>
        promise.then(undefined, (error: unknown) =>
          this.#report.handlerFailed(error, parked.message),
        ),
      );
    }
  }

  /** What it has not settled where it was seen holds the acknowledgement back. */
  #isUnhandled(session: Session, { message, meta, seen }: ParkedMessage): boolean {
    if (seen && seen.length > 0) {
      this.#await(session, seen, message, meta.seq);
    }
    return seen === undefined;
  }

  #deliver(
    session: Session,
    registrations: Registrations,
    observers: Registrations,
    received: Message,
    meta: MessageMeta,
    seen: Promises = NO_PROMISES,
  ): void {
    const message =
      registrations.length + observers.length > 0 ? this.#report.checked(received) : null;
    if (!message) {
      return;
    }
    const isOutermost = this.#loop.hold();
    let promises = this.#call(session, registrations, message, meta);
    if (observers.length > 0) {
      promises = promises.concat(this.#call(session, observers, message, meta));
    }
    if (promises.length + seen.length > 0 && session.isLive) {
      this.#await(session, seen.concat(promises), message, meta.seq);
    }
    if (isOutermost) {
      this.#loop.release();
    }
  }

  /** While the loop holds what they call. */
  #call(
    session: Session,
    registrations: Registrations,
    message: Message,
    meta: MessageMeta,
  ): Promises {
    if (registrations.length === 0) {
      return NO_PROMISES;
    }
    if (this.#report.isDebugging) {
      this.#report.debug('Handler called with:', message);
    }
    return callHandlers(registrations, message, meta, session, this.#report);
  }

  /** The message is handled when its last handler has settled. */
  #await(session: Session, promises: Promises, message: Message, seq: number | undefined): void {
    if (seq !== undefined) {
      session.held.set(seq, message);
      this.#loop.engine.hold(seq, monotonicNow());
      // The engine now watches the time: let the loop set its timer.
      this.#loop.call(() => undefined);
    }
    let unsettled = promises.length;
    const settled = () => {
      unsettled -= 1;
      if (unsettled > 0 || seq === undefined || !session.isLive) {
        return;
      }
      // In another epoch another message may be held at the same position.
      if (session.held.get(seq) === message) {
        session.held.delete(seq);
        this.#loop.call((engine, now) => engine.handled(seq, now));
      }
    };
    for (const promise of promises) {
      promise.then(settled, (error: unknown) => {
        this.#report.handlerFailed(error, message);
        settled();
      });
    }
  }
}

function isFull(parked: readonly ParkedMessage[]): boolean {
  const held = parked.filter(({ isHeld }) => isHeld);
  const bytes = held.reduce((sum, { size }) => sum + size, 0);
  return held.length >= HELD_MESSAGES_MAX || bytes >= HELD_BYTES_MAX;
}
