import {
  ACCEPTED,
  CONNECTION_ESTABLISHED,
  DEFAULT_HEARTBEAT_INTERVAL_MS,
  DEFAULT_MESSAGE_BYTES_MAX,
  ERROR,
  MAILBOX_GAP,
  MESSAGE_DELTA,
  MESSAGE_LOST,
  MESSAGE_START,
  PENDING_CHECK_COMPLETE,
  PONG,
  POSITION_CHECKED,
} from '../../generated/protocol.js';
import { Socket } from '../connection/socket.js';
import type { Loop } from '../engine/loop.js';
import { TetherlineError } from '../errors.js';
import type { Reporter } from '../page/report.js';
import { inspector } from '../page/tap.js';
import type { Session } from '../session.js';
import * as Tab from '../tabs/kinds.js';
import type { Message, StreamStore } from '../types.js';
import { Deliveries } from './deliveries.js';
import type { Handlers } from './handlers.js';
import { Ids } from './ids.js';

// A token that never expires; the engine counts in whole ms.
const NEVER_MS = 2 ** 52;

// The engine counts from 1.
const UNKNOWN_SEND = 0;

/** In the place of what does something: a frame of a stream. */
const STREAM = null;

type Control = (session: Session, conn: number, frame: Message) => void;

/** Frames from the server: control frames to the engine, messages to their handlers. */
export class Inbound {
  readonly #loop: Loop;
  readonly deliveries: Deliveries;
  readonly #report: Reporter;
  streams: StreamStore | undefined;
  readonly #epochs = new Map<unknown, number>();
  readonly #ids = new Ids();
  readonly #control = new Map<string, Control | typeof STREAM>([
    [MESSAGE_START, STREAM],
    [MESSAGE_DELTA, STREAM],
    [MESSAGE_LOST, STREAM],
    [CONNECTION_ESTABLISHED, (session, conn, frame) => this.#established(session, conn, frame)],
    [PONG, (_session, conn) => this.#pong(conn)],
    [
      PENDING_CHECK_COMPLETE,
      (_session, conn) => this.#loop.call((engine, now) => engine.complete(conn, now)),
    ],
    [MAILBOX_GAP, (_session, conn, frame) => this.#gap(conn, frame)],
    [POSITION_CHECKED, (_session, conn, frame) => this.#checked(conn, frame)],
    [ACCEPTED, (session, conn, frame) => this.#accepted(session, conn, frame)],
    [ERROR, (session, conn, frame) => this.#error(session, conn, frame)],
  ]);

  constructor(loop: Loop, handlers: Handlers, report: Reporter, streams?: StreamStore) {
    this.#loop = loop;
    this.deliveries = new Deliveries(loop, handlers, report, this.#ids);
    this.#report = report;
    this.streams = streams;
  }

  receive(session: Session, conn: number, data: unknown): void {
    if (session.tabs?.hasOthers) {
      this.#share(session, data);
    }
    inspector.tap?.received(session, data);
    this.deliveries.deliverParked(session);
    const frame = this.#parse(data);
    if (!frame) {
      this.#loop.engine.received(conn);
    } else if (isPosition(frame.seq)) {
      this.streams?.ended(conn, frame);
      this.deliveries.message(session, conn, frame, frame.seq, (data as string).length);
    } else {
      this.#withoutPosition(session, conn, frame, (data as string).length);
    }
  }

  /** With other tabs, if this is the one that has the connection. */
  #share({ tabs, link }: Session, data: unknown): void {
    if (link instanceof Socket) {
      tabs?.post(Tab.FRAME, 0, 0, 0, 0, data);
    }
  }

  /** A frame of the protocol, or a live-only message. */
  #withoutPosition(session: Session, conn: number, frame: Message, size: number): void {
    const control = this.#control.get(frame.type);
    if (control === undefined) {
      this.deliveries.message(session, conn, frame, 0, size);
    } else if (control === STREAM) {
      this.#stream(session, conn, frame);
    } else {
      control(session, conn, frame);
      this.deliveries.frame(session, frame);
    }
  }

  /** The tab that leads is connected: what the server said to it holds for this one. */
  welcome(session: Session, from: number, toAll: number, frame: Message): void {
    const { link } = session;
    this.#readLimits(session, frame);
    this.#loop.call((engine, now) => {
      engine.welcome(
        from,
        toAll,
        this.epochNumber(frame.epoch),
        number(frame.head, 0),
        number(frame.cursor, 0),
        number(frame.position, -1),
        this.#ids.number(frame.position_id),
        heartbeatOf(frame),
        now,
      );
      this.#ids.keep(engine);
    });
    if (session.link !== link) {
      this.deliveries.frame(session, frame);
    }
  }

  /** Of a stream, if anybody looks at them: handlers get what of it is news. */
  #stream(session: Session, conn: number, frame: Message): void {
    if (!this.streams) {
      this.#report.unheard(frame.type);
      this.#loop.engine.received(conn);
      return;
    }
    const news = this.streams.receive(conn, frame);
    if (news) {
      this.deliveries.frame(session, news);
    }
  }

  #established(session: Session, conn: number, frame: Message): void {
    this.#readLimits(session, frame);
    if (session.link instanceof Socket && session.link.conn === conn) {
      session.link.established = frame;
    }
    this.#report.debug('Connected to WebSocket channel');
    this.#loop.call((engine, now) => {
      engine.established(
        conn,
        this.epochNumber(frame.epoch),
        number(frame.head, 0),
        number(frame.cursor, 0),
        this.#ids.number(frame.cursor_id),
        frame.checks_positions === true ? 1 : 0,
        heartbeatOf(frame),
        number(frame.token_expires_in_ms, NEVER_MS),
        now,
      );
      this.#ids.keep(engine);
    });
  }

  #readLimits(session: Session, frame: Message): void {
    const limits = frame.limits as { message_bytes_max?: unknown } | null | undefined;
    session.messageBytesMax = number(limits?.message_bytes_max, DEFAULT_MESSAGE_BYTES_MAX);
  }

  #pong(conn: number): void {
    this.#report.debug('Received pong from server');
    this.#loop.engine.received(conn);
  }

  #gap(conn: number, frame: Message): void {
    this.#loop.call((engine, now) => {
      const passed = this.#ids.number(frame.passed_id);
      engine.gap(conn, number(frame.after, 0), number(frame.next, 0), passed, now);
      this.#ids.keep(engine);
    });
  }

  #checked(conn: number, frame: Message): void {
    this.#loop.call((engine, now) => {
      const [after, from] = [this.#ids.number(frame.after_id), this.#ids.number(frame.from_id)];
      engine.checked(conn, number(frame.after, 0), after, number(frame.from, 0), from, now);
      this.#ids.keep(engine);
    });
  }

  #accepted(session: Session, conn: number, frame: Message): void {
    const send = session.outbox.answered(numberOfSend(session, frame.ref), frame.answer);
    this.#loop.call((engine, now) => engine.accepted(conn, send, now));
  }

  #error(session: Session, conn: number, frame: Message): void {
    const error = readError(frame);
    if (error.ref === undefined) {
      this.#loop.engine.received(conn);
      this.#report.serverFailed(error);
      return;
    }
    const send = numberOfSend(session, error.ref);
    const unsettled = session.outbox.get(send);
    // The engine repeats it; nobody need be told every time, nor of each send that waits behind it.
    // What is unknown here was sent in another tab, or is settled already.
    const isNews = unsettled !== undefined && !session.outbox.isRefused(error);
    if (unsettled) {
      unsettled.refusal = error;
    }
    const retryAfter = number(frame.retry_after_ms, -1);
    this.#loop.call((engine, now) =>
      engine.refused(conn, send, error.retryable ? 1 : 0, retryAfter, now),
    );
    if (isNews) {
      this.#report.serverFailed(error);
    }
  }

  epochNumber(epoch: unknown): number {
    let known = this.#epochs.get(epoch);
    if (known === undefined) {
      known = this.#epochs.size + 1;
      this.#epochs.set(epoch, known);
    }
    return known;
  }

  /**
   * Asks for what comes after a position, and for what is missing of streams. `proof`: the
   * number of the message there, behind 1; 0 if nothing is to be proved.
   */
  ask(session: Session, after: number, epochNumber: number, proof: number): void {
    const have = this.streams?.have(session.link instanceof Socket);
    const id = proof === 0 ? undefined : this.idText(proof - 1);
    const at = [this.#loop.engine.position(), this.#ids.kept] as const;
    session.link?.ask(after, this.#epochText(epochNumber), have, id, at);
  }

  /** The message at this page's position. */
  get keptId(): string | null {
    return this.#ids.kept;
  }

  idNumber(id: unknown): number {
    return this.#ids.number(id);
  }

  /** Null if the engine has another message now. */
  idText(id: number): string | null {
    return this.#ids.text(id);
  }

  #epochText(epochNumber: number): unknown {
    for (const [text, known] of this.#epochs) {
      if (known === epochNumber) {
        return text;
      }
    }
    return undefined;
  }

  #parse(data: unknown): Message | null {
    if (typeof data !== 'string') {
      return this.#ignored('a binary frame; the wire is text.');
    }
    try {
      const frame = JSON.parse(data) as Message | null;
      return typeof frame?.type === 'string' ? frame : this.#ignored('a frame without a `type`.');
    } catch (error) {
      return this.#ignored('a frame that is not JSON.', error);
    }
  }

  #ignored(what: string, cause?: unknown): null {
    this.#report.problem(`The server sent ${what} It is ignored.`, cause);
    return null;
  }
}

/** The engine's number for a send of this page, or of another tab that goes this way. */
function numberOfSend({ outbox, link }: Session, id: unknown): number {
  return outbox.numberOf(id) ?? link?.passedOn?.numberOf(id) ?? UNKNOWN_SEND;
}

function readError(frame: Message): TetherlineError {
  return new TetherlineError(
    typeof frame.code === 'string' ? frame.code : 'internal',
    typeof frame.message === 'string' ? frame.message : 'The server reported an error.',
    {
      retryable: frame.retryable === true,
      ref: typeof frame.ref === 'string' ? frame.ref : undefined,
    },
  );
}

function isPosition(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise;
}

function heartbeatOf(frame: Message): number {
  return number(frame.heartbeat_interval_ms, DEFAULT_HEARTBEAT_INTERVAL_MS);
}
