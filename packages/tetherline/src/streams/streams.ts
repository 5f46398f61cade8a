import { STATUS } from '../generated/engine/status.js';
import {
  MESSAGE_DELTA,
  MESSAGE_LOST,
  MESSAGE_START,
  STREAMS_KNOWN_MAX,
} from '../generated/protocol.js';
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
 * The texts of streams. What is appended when is the engine's business: the length of a
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
  /** What other tabs have, which the server is to look at: once each, so that one that repeats its question
      leaves the others their room. */
  readonly #claims = new Map<string, object>();

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
    if (frame.type === MESSAGE_LOST) {
      this.#lose(conn, number, frame as Named);
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

  have(toServer: boolean): readonly object[] {
    const own = this.#open.map(({ uuid, attempt, text }) => ({
      message_uuid: uuid,
      attempt,
      offset: text.length,
      hash: hashOf(text),
    }));
    if (!toServer) {
      return own;
    }
    const others = [...this.#claims.values()];
    this.#claims.clear();
    return [...own, ...others].slice(0, STREAMS_KNOWN_MAX);
  }

  claim(have: readonly object[], proves: boolean): boolean {
    const isInDoubt = !(have as readonly Claim[]).every((claim) => this.#has(claim));
    if (isInDoubt || proves) {
      for (const claim of have) {
        if (this.#claims.size < STREAMS_KNOWN_MAX) {
          this.#claims.set(JSON.stringify(claim), { ...claim, check: true });
        }
      }
    }
    return isInDoubt;
  }

  frames(have: readonly object[] = []): readonly string[] {
    return this.#open.flatMap(({ uuid, attempt, text, start }) => {
      const theirs = (have as readonly Claim[]).find(
        (claim) => claim.message_uuid === uuid && claim.attempt === attempt,
      );
      // Behind another text it would be put as if it were the rest of that.
      const fits = theirs?.hash === undefined || this.#has(theirs);
      const delta = { type: MESSAGE_DELTA, message_uuid: uuid, attempt, offset: 0, text };
      return fits ? [start, delta].map((frame) => JSON.stringify(frame)) : [];
    });
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

  /** It is another text than there is, if it is what somebody behind this connection has. */
  #lose(conn: number, number: number, { message_uuid: uuid, attempt, offset, hash }: Named): void {
    const text = this.#messages.get(uuid)?.text;
    const end = Number(offset);
    const isMine = text !== undefined && end <= text.length && hashOf(text.slice(0, end)) === hash;
    if (isMine && this.#port?.engine.stream_lost(conn, number, attempt)) {
      this.#messages.delete(uuid);
      this.#port.drain();
      this.#changed();
    }
  }

  /** Whether this is a beginning of what there is here. */
  #has({ message_uuid: uuid, attempt, offset, hash }: Claim): boolean {
    const known = this.#messages.get(uuid);
    return (
      known?.attempt === attempt &&
      offset <= known.text.length &&
      hashOf(known.text.slice(0, offset)) === hash
    );
  }

  get #open(): readonly StreamedMessage[] {
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

/** So much of an attempt, and the hash of that text. */
interface Claim {
  message_uuid: string;
  attempt: number;
  offset: number;
  hash: number;
}

/** FNV-1a over the octets of the text in UTF-16, little-endian. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >> 8), 0x01000193);
  }
  return hash >>> 0;
}

/** What {@link Streams} has looked at. */
interface Named extends Message {
  message_uuid: string;
  attempt: number;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
