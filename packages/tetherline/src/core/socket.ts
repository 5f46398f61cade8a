import { BEARER_PREFIX, CLOSE_CODES, SUBPROTOCOL } from '../generated/protocol.js';
import type { WebSocketConstructor, WebSocketLike } from './types.js';

export interface SocketEvents {
  opened(): void;
  message(data: unknown): void;
  closed(code: number): void;
}

/** One attempt at a connection. After `detach` nothing of it is ever heard again. */
export class Socket {
  readonly conn: number;
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
    socket.onclose = (event) => events.closed(event.code);
    // `close` follows and says all there is to know; some sockets throw if nobody listens.
    socket.onerror = ignore;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  /** Does not wait for the peer's goodbye: on a dead link it can take minutes. */
  detach(code: number): void {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Scripts may close with 1000 and 3000–4999 only.
    socket.close(code >= 3000 ? code : CLOSE_CODES.NORMAL);
  }
}

function ignore(): void {
  // See above.
}
