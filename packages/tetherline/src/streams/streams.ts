import { STATUS } from '../core/engine.js';
import { MESSAGE_DELTA, MESSAGE_START } from '../generated/protocol.js';
import type { Message, StreamedMessage, StreamPort, StreamStatus, StreamStore } from '../index.js';

/** Answers that have ended and are kept all the same, until the application shows them itself. */
const FINISHED_MAX = 16;

/** The engine's numbers are 32 bits. */
const ATTEMPT_MAX = 2 ** 32 - 1;

const STATUSES: readonly unknown[] = [
  'complete',
  'stopped',
  'failed',
  'interrupted',
] satisfies StreamStatus[];

/** A piece of which nothing is to be appended. */
const NOTHING = -1;

/**
 * The texts of answers that grow. What is appended when is the engine's business: the length of a
 * text here is what it knows there.
 */
export class Streams implements StreamStore {
  #port: StreamPort | undefined;
  #tell: (listener: () => void) => void = () => undefined;
  readonly #messages = new Map<string, StreamedMessage>();
  /** Null until somebody wants it. */
  #list: readonly StreamedMessage[] | null = null;
  readonly #listeners = new Set<() => void>();
  /** The engine's number of each answer that it knows. */
  readonly #numbers = new Map<string, number>();
  #lastNumber = 0;

  readonly getStream = (uuid: string): StreamedMessage | undefined => this.#messages.get(uuid);

  readonly getStreams = (): readonly StreamedMessage[] =>
    (this.#list ??= [...this.#messages.values()]);

  readonly subscribe = (listener: () => void): (() => void) => {
    // Wrapped: the same function may subscribe twice, and each subscription ends by itself.
    const subscription = () => listener();
    this.#listeners.add(subscription);
    return () => this.#listeners.delete(subscription);
  };

  open(port: StreamPort, report: Parameters<StreamStore['open']>[1]): void {
    this.#port = port;
    this.#tell = (listener) => report.tell(listener);
  }

  receive(conn: number, frame: Message): Message | null {
    const number = this.#numberOf(frame);
    if (!number) {
      return null;
    }
    const news =
      frame.type === MESSAGE_START
        ? this.#begin(conn, number, frame as Named)
        : this.#append(conn, number, frame as Named);
    if (!news) {
      // It may have shown that something is missing.
      this.#port?.drain();
    }
    return news;
  }

  ended(conn: number, message: Message): void {
    const number = this.#numberOf(message);
    if (!number) {
      return;
    }
    const { message_uuid: uuid, attempt, status, message: whole } = message as Named;
    const known = this.#messages.get(uuid);
    if (!this.#port?.engine.stream_end(conn, number, attempt) || !known) {
      return;
    }
    const { content } = (whole ?? {}) as { content?: unknown };
    // Behind those that ended before: they make room first.
    this.#messages.delete(uuid);
    this.#messages.set(uuid, {
      ...known,
      attempt,
      text: typeof content === 'string' ? content : known.text,
      isGrowing: false,
      status: STATUSES.includes(status) ? (status as StreamStatus) : 'complete',
    });
    const finished = [...this.#messages.values()].filter(({ isGrowing }) => !isGrowing);
    for (const old of finished.slice(0, -FINISHED_MAX)) {
      this.#messages.delete(old.uuid);
    }
    this.#changed();
  }

  have(): readonly object[] {
    return this.#growing.map(({ uuid, attempt, text }) => ({
      message_uuid: uuid,
      attempt,
      offset: text.length,
    }));
  }

  frames(): readonly string[] {
    return this.#growing.flatMap(({ uuid, attempt, text, start }) =>
      [start, { type: MESSAGE_DELTA, message_uuid: uuid, attempt, offset: 0, text }].map((frame) =>
        JSON.stringify(frame),
      ),
    );
  }

  drop(stream: number): void {
    for (const [uuid, number] of this.#numbers) {
      if (stream === 0 || stream === number) {
        this.#numbers.delete(uuid);
        this.#messages.delete(uuid);
      }
    }
    this.#changed();
  }

  #begin(conn: number, number: number, start: Named): Message | null {
    const { message_uuid: uuid, attempt, ref } = start;
    if (!this.#port?.engine.stream_start(conn, number, attempt)) {
      return null;
    }
    this.#messages.set(uuid, {
      uuid,
      attempt,
      text: '',
      isGrowing: true,
      ref: typeof ref === 'string' ? ref : undefined,
      start,
    });
    this.#port.drain();
    this.#changed();
    return start;
  }

  #append(conn: number, number: number, delta: Named): Message | null {
    const { message_uuid: uuid, attempt, offset, text } = delta;
    if (!isCount(offset) || typeof text !== 'string' || !this.#port) {
      return null;
    }
    const skip = this.#port.engine.stream_delta(conn, number, attempt, offset, text.length);
    const known = this.#messages.get(uuid);
    if (skip === NOTHING || !known) {
      return null;
    }
    const news = text.slice(skip);
    // Engines keep such a sum as a tree of its pieces: nothing is copied before somebody reads it.
    this.#messages.set(uuid, { ...known, text: known.text + news });
    this.#changed();
    return skip === 0 ? delta : { ...delta, offset: offset + skip, text: news };
  }

  get #growing(): readonly StreamedMessage[] {
    return this.getStreams().filter(({ isGrowing }) => isGrowing);
  }

  /** 0 if this is about no attempt at an answer. */
  #numberOf({ message_uuid: uuid, attempt }: Message): number {
    if (typeof uuid !== 'string' || !isCount(attempt) || attempt === 0 || attempt > ATTEMPT_MAX) {
      return 0;
    }
    let number = this.#numbers.get(uuid) ?? 0;
    // Without a connection the engine would not take notice, and so never say that it forgets.
    if (number === 0 && STATUS[this.#port?.engine.status() ?? 0] === 'connected') {
      this.#lastNumber += 1;
      number = this.#lastNumber;
      this.#numbers.set(uuid, number);
    }
    return number;
  }

  #changed(): void {
    this.#list = null;
    for (const listener of this.#listeners) {
      this.#tell(listener);
    }
  }
}

/** What {@link Streams} has looked at. */
interface Named extends Message {
  message_uuid: string;
  attempt: number;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
