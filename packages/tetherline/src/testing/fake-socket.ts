import { SUBPROTOCOL } from '../generated/protocol.js';
import type { WebSocketConstructor, WebSocketLike } from '../index.js';
import type { FakeConnection, FakePeer } from './fake-connection.js';

type Attempt = (url: string, protocols: readonly string[], peer: FakePeer) => FakeConnection;

/** A class that stands in for `WebSocket`, and whose objects are connected by `attempt`. */
export function fakeWebSocket(attempt: Attempt): WebSocketConstructor {
  return class FakeWebSocket implements WebSocketLike {
    readonly url: string;
    readonly protocol = SUBPROTOCOL;
    readyState = 0;
    onopen: WebSocketLike['onopen'] = null;
    onmessage: WebSocketLike['onmessage'] = null;
    onclose: WebSocketLike['onclose'] = null;
    onerror: WebSocketLike['onerror'] = null;
    readonly #connection: FakeConnection;

    constructor(url: string, protocols: string[]) {
      this.url = url;
      this.#connection = attempt(url, protocols, {
        opened: () => {
          this.readyState = 1;
          this.onopen?.(undefined as never);
        },
        message: (data) => this.onmessage?.({ data }),
        closed: (code, reason) => {
          this.readyState = 3;
          this.onclose?.({ code, reason });
        },
      });
    }

    send(data: string): void {
      this.#connection.receive(data);
    }

    close(code = 1000): void {
      this.readyState = 3;
      this.#connection.hungUp(code);
    }
  };
}
