import type { Message } from '../types.js';

/** Which stream shall stop: by its name, or by the `id` of the send that asked. */
export type StopTarget = { readonly message_uuid: string } | { readonly ref: string };

/** How an answer ended. */
export type StreamStatus = 'complete' | 'stopped' | 'failed' | 'interrupted';

/** A stream as far as it has come, its message included. The object is the same one for as long as nothing changed. */
export interface StreamedMessage {
  /** The `message_uuid`. */
  readonly uuid: string;
  /** A retry is a later attempt at the same answer, and starts over. */
  readonly attempt: number;
  readonly text: string;
  readonly isGrowing: boolean;
  /** Set when it has ended. */
  readonly status?: StreamStatus | undefined;
  /** The `id` of the send that it answers. */
  readonly ref?: string | undefined;
  /** The `message_start`, with the application's fields. */
  readonly start: Message;
}

/** An answer without what makes it change all the time. */
export type StreamInfo = Omit<StreamedMessage, 'text'>;

/** What a {@link StreamStore} is driven by. */
export interface StreamPort {
  readonly engine: {
    status(): number;
    stream_start(conn: number, stream: number, attempt: number): number;
    stream_delta(
      conn: number,
      stream: number,
      attempt: number,
      offset: number,
      length: number,
    ): number;
    stream_end(conn: number, stream: number, attempt: number): number;
    stream_lost(conn: number, stream: number, attempt: number): number;
  };
  /** Does what the engine wants done. */
  drain(): void;
}

/** Keeps what there is of streams. `tetherline/streams` has one; one per client. */
export interface StreamStore {
  readonly getStream: (uuid: string) => StreamedMessage | undefined;
  readonly getStreams: () => readonly StreamedMessage[];
  readonly subscribe: (listener: () => void) => () => void;
  /** The client has begun. `report` calls back, and says what is thrown there. */
  open(port: StreamPort, report: { tell(callback: () => void): void }): void;
  /**
   * A `message_start`, `message_delta` or `message_lost` has come. Answers what of it is news; null if
   * nothing.
   */
  receive(conn: number, frame: Message): Message | null;
  /** A durable message has come, which may be the end of an answer. */
  ended(conn: number, message: Message): void;
  /**
   * What `get_pending` says of answers that have not ended: with what other tabs have `claim`ed since, if
   * it goes to the server.
   */
  have(toServer: boolean): readonly object[];
  /**
   * What another tab has of streams. Answers whether that is something that there is not here, or
   * otherwise. It is passed on to the server then, and if the tab has to prove itself anyway.
   */
  claim(have: readonly object[], proves: boolean): boolean;
  /** The same answers as frames, for a tab that has missed some; `have`: what it has of them. */
  frames(have?: readonly object[]): readonly string[];
  /** Forgets an answer by its number, or with 0 all of them. */
  drop(stream: number): void;
}
