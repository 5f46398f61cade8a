import { BEARER_PREFIX } from '../generated/protocol.js';
import type { Message } from '../index.js';
import { type FakeNetwork, Line } from './fake-line.js';

/** Who is told what happens to a connection: a fake WebSocket, or a page's. */
export interface FakePeer {
  opened(): void;
  message(text: string): void;
  closed(code: number, reason: string): void;
}

/** What the server does with what clients say. */
export interface FakeListener {
  receive(connection: FakeConnection, frame: Message): void;
}

/** One connection's server half. */
export class FakeConnection {
  readonly user: string;
  readonly device: string;
  token: string;
  /** What the client sent, in order. */
  readonly frames: Message[] = [];
  /** Why it was closed, by whichever side; null while it is open. */
  closeCode: number | null = null;
  /** From its `get_pending` on it gets what is published. */
  isReading = false;
  /** Whether it sees streams: whether its `get_pending` has said what it has of them. */
  seesStreams = false;
  /** The refused send that has to come before any later one. */
  blockedBy: { id: unknown; code: string } | null = null;
  #isHalfOpen = false;
  readonly #line: Line;
  readonly #peer: FakePeer;
  readonly #listener: FakeListener;

  constructor(
    url: string,
    protocols: readonly string[],
    peer: FakePeer,
    network: FakeNetwork,
    listener: FakeListener,
  ) {
    const { pathname, searchParams } = new URL(url);
    this.user = decodeURIComponent(pathname.split('/').at(-1) ?? '');
    this.device = searchParams.get('device') ?? '';
    const bearer = protocols.find((protocol) => protocol.startsWith(BEARER_PREFIX));
    this.token = bearer?.slice(BEARER_PREFIX.length) ?? '';
    this.#peer = peer;
    this.#listener = listener;
    this.#line = new Line(network);
  }

  get isOpen(): boolean {
    return this.closeCode === null;
  }

  open(greeting: Message): void {
    this.#line.carry(() => {
      if (this.isOpen) {
        this.#peer.opened();
      }
    });
    this.send(greeting);
  }

  send(frame: Message): void {
    this.sendText(JSON.stringify(frame));
  }

  /** Sends this text as it is, whatever it is. */
  sendText(text: string): void {
    this.#line.frame(() => {
      if (this.isOpen) {
        this.#peer.message(text);
      }
    });
  }

  /** Closes behind everything that was sent. */
  close(code: number): void {
    this.isReading = this.seesStreams = false;
    this.#line.carry(() => this.end(code));
  }

  /** Ends it now, in the client's ears too. */
  end(code: number, reason = ''): void {
    if (this.isOpen) {
      this.closeCode = code;
      this.#line.interrupt(() => this.#peer.closed(code, reason));
    }
  }

  /** Nothing gets through any more, in either direction, and nobody is told. */
  goHalfOpen(): void {
    this.#isHalfOpen = true;
    this.isReading = this.seesStreams = false;
    this.#line.silence();
  }

  /** The client says something. */
  receive(text: string): void {
    if (this.isOpen && !this.#isHalfOpen) {
      const frame = JSON.parse(text) as Message;
      this.frames.push(frame);
      this.#line.duringCall(() => this.#listener.receive(this, frame));
    }
  }

  /** The client has closed. */
  hungUp(code: number): void {
    if (this.isOpen) {
      this.closeCode = code;
      this.isReading = this.seesStreams = false;
      this.#line.silence();
    }
  }

  duringCall(action: () => void): void {
    this.#line.duringCall(action);
  }
}
