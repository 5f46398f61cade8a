import { MESSAGE_DELTA, MESSAGE_GENERATE, MESSAGE_START } from '../generated/protocol.js';
import type { Message, StreamStatus } from '../index.js';
import type { FakeMessage } from './fake-mailbox.js';

/** What an answer is opened with. */
export interface FakeStreamOpening {
  /** The answer's name. One that was there before is a retry. Default: a new one. */
  message_uuid?: string;
  /** The `id` of the send that it answers. */
  ref?: string;
  /** The type of the message that it becomes. Default: `message_generate`. */
  type?: string;
  [field: string]: unknown;
}

/** What an answer ends with. */
export interface FakeStreamEnding {
  /** Default: `stopped` if it was, otherwise `complete`. */
  status?: StreamStatus;
  /** Fields for its `message`, beside those that the server sets. */
  message?: object;
  [field: string]: unknown;
}

/** Where frames and messages of one user go. */
interface Outlet {
  /** To whoever sees streams. */
  send(frame: Message): void;
  publish(message: Message): FakeMessage;
}

/** One attempt at an answer, as its writer has it. */
export class FakeStream {
  readonly uuid: string;
  readonly attempt: number;
  readonly start: Message;
  text = '';
  /** Somebody has stopped it: it takes no more text, and waits to be finished. */
  isStopped: boolean;
  isOver = false;
  readonly #type: string;
  readonly #fields: object;
  readonly #outlet: Outlet;

  constructor(
    uuid: string,
    attempt: number,
    { type = MESSAGE_GENERATE, message_uuid: _, ...fields }: FakeStreamOpening,
    isStopped: boolean,
    outlet: Outlet,
  ) {
    this.uuid = uuid;
    this.attempt = attempt;
    this.isStopped = isStopped;
    this.#type = type;
    this.#fields = fields;
    this.#outlet = outlet;
    this.start = { type: MESSAGE_START, message_uuid: uuid, attempt, ...fields };
  }

  /** Adds text. False if the answer takes none any more. */
  append(text: string): boolean {
    if (this.isStopped || this.isOver) {
      return false;
    }
    const offset = this.text.length;
    this.text += text;
    this.#outlet.send(this.delta(offset));
    return true;
  }

  /** Ends it: the whole message goes into the mailbox. */
  finish({ status, message, ...fields }: FakeStreamEnding = {}): FakeMessage {
    if (this.isOver) {
      throw new Error(`Tetherline: attempt ${this.attempt} at ${this.uuid} is over already.`);
    }
    this.isOver = true;
    const { uuid, attempt, text: content } = this;
    const known = { status: status ?? (this.isStopped ? 'stopped' : 'complete'), attempt };
    return this.#outlet.publish({
      type: this.#type,
      message_uuid: uuid,
      ...this.#fields,
      ...fields,
      ...known,
      message: { ...message, uuid, content, ...known },
    });
  }

  /** Its text from an offset on. */
  delta(offset: number): Message {
    const { uuid, attempt, text } = this;
    return { type: MESSAGE_DELTA, message_uuid: uuid, attempt, offset, text: text.slice(offset) };
  }
}

/** One user's answers, in memory. */
export class FakeStreams {
  readonly #outlet: Outlet;
  readonly #latest = new Map<string, FakeStream>();
  /** Sends whose answers were stopped before they had begun. */
  readonly #stopped = new Set<unknown>();

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  /** The answers that have not ended. */
  get running(): readonly FakeStream[] {
    return [...this.#latest.values()].filter(({ isOver }) => !isOver);
  }

  open(opening: FakeStreamOpening): FakeStream {
    const uuid = opening.message_uuid ?? `answer-${this.#latest.size + 1}`;
    const before = this.#latest.get(uuid);
    if (before) {
      before.isOver = true;
    }
    const isStopped = opening.ref !== undefined && this.#stopped.has(opening.ref);
    const attempt = (before?.attempt ?? 0) + 1;
    const stream = new FakeStream(uuid, attempt, opening, isStopped, this.#outlet);
    this.#latest.set(uuid, stream);
    this.#outlet.send(stream.start);
    return stream;
  }

  /** False if nobody knows the answer. */
  stop({ message_uuid: uuid, ref }: Message): boolean {
    const isNamed = typeof uuid === 'string';
    const found = isNamed
      ? this.#latest.get(uuid)
      : [...this.#latest.values()].find(({ start }) => start.ref === ref);
    if (found) {
      found.isStopped = true;
    } else if (!isNamed) {
      this.#stopped.add(ref);
    }
    return found !== undefined || !isNamed;
  }

  /** What a reader needs who has so much. */
  resume(have: readonly unknown[]): Message[] {
    const positions = have as readonly Message[];
    return this.running.flatMap((stream) => {
      const position = positions.find(
        ({ message_uuid: uuid, attempt }) => uuid === stream.uuid && attempt === stream.attempt,
      );
      const offset = Number(position?.offset ?? 0);
      return [
        ...(position ? [] : [stream.start]),
        ...(offset < stream.text.length ? [stream.delta(offset)] : []),
      ];
    });
  }

  /** Nobody knows of any answer any more. */
  clear(): void {
    this.running.forEach((stream) => (stream.isOver = true));
    this.#latest.clear();
  }
}
