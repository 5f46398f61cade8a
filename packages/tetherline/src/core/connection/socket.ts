import {
  BEARER_PREFIX,
  CLOSE_NORMAL,
  GET_PENDING,
  PING,
  SUBPROTOCOL,
} from '../../generated/protocol.js';
import type { Message, WebSocketConstructor, WebSocketLike } from '../types.js';

/** A way to the server. */
export interface Link {
  readonly conn: number;
  /** The server's `connection_established`, once it has come by this very link. */
  readonly established: Message | null;
  /** Other tabs' sends that go this way. */
  readonly passedOn: PassedOn | null;
  /**
   * What other tabs, which look at streams, have of them, where this one does not: the server
   * shows them to a connection that asked with such a list last.
   */
  claims?: Have;
  /** A send is known by its `id`. */
  send(text: string, id?: string): void;
  ping(): void;
  /**
   * `have`: what there is of streams, if anybody looks at them. `id`: the message at `after`, if
   * that is to be proved; null if it is not known. `at`: where the page is, and the message there.
   */
  ask(after: number, epoch: unknown, have?: Have, id?: string | null, at?: Standing): void;
  detach(code: number): void;
}

export type Have = readonly object[];
export type Standing = readonly [position: number, id: string | null];

export interface SocketEvents {
  opened(): void;
  message(data: unknown): void;
  closed(code: number, reason?: string): void;
}

/** The engine's answer when there is no connection. */
const NONE = -1;

/** The texts of sends of other tabs, by the engine's number and by id, until they settle. */
export class PassedOn {
  readonly #sends = new Map<number, { readonly id: string; readonly text: string }>();
  readonly #numbers = new Map<unknown, number>();

  /** One that its tab has given up and sends again is still under way. */
  add(id: string, text: string, passOn: () => number): void {
    const number = this.#numbers.has(id) ? NONE : passOn();
    if (number !== NONE) {
      this.#sends.set(number, { id, text });
      this.#numbers.set(id, number);
    }
  }

  get(number: number): { readonly id: string; readonly text: string } | undefined {
    return this.#sends.get(number);
  }

  numberOf(id: unknown): number | undefined {
    return this.#numbers.get(id);
  }

  settle(number: number): void {
    this.#numbers.delete(this.#sends.get(number)?.id);
    this.#sends.delete(number);
  }
}

/** One attempt at a connection. After `detach` nothing of it is ever heard again. */
export class Socket implements Link {
  readonly conn: number;
  established: Message | null = null;
  readonly passedOn = new PassedOn();
  claims?: Have;
  readonly #socket: WebSocketLike;

  constructor(
    Constructor: WebSocketConstructor,
    conn: number,
    url: string,
    token: string,
    events: SocketEvents,
  ) {
    this.conn = conn;
    const socket = new Constructor(url, [SUBPROTOCOL, BEARER_PREFIX + token]);
    this.#socket = socket;
    socket.onopen = () => events.opened();
    socket.onmessage = (event) => events.message(event.data);
    socket.onclose = (event) => events.closed(event.code, event.reason);
    // `close` follows and says all there is to know; some sockets throw if nobody listens.
    socket.onerror = ignore;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  ping(): void {
    this.send(JSON.stringify({ type: PING, timestamp: new Date().toISOString() }));
  }

  ask(after: number, epoch: unknown, have?: Have, id?: string | null): void {
    this.send(
      JSON.stringify({ type: GET_PENDING, after, after_id: id, epoch, have: have ?? this.claims }),
    );
    // Looked at once; the list itself says that answers are to be shown.
    this.claims &&= [];
  }

  /** Does not wait for the peer's goodbye: on a dead link it can take minutes. */
  detach(code: number): void {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Scripts may close with 1000 and 3000–4999 only.
    socket.close(code >= 3000 ? code : CLOSE_NORMAL);
  }
}

function ignore(): void {
  // See above.
}
