import {
  ACCEPTED,
  ACK,
  AUTHENTICATE,
  CLOSE_ERASED,
  CLOSE_RESTART,
  CLOSE_TOKEN_EXPIRED,
  CONNECTION_ESTABLISHED,
  DEFAULT_HEARTBEAT_INTERVAL_MS,
  DEFAULT_MESSAGE_BYTES_MAX,
  GET_PENDING,
  MAILBOX_GAP,
  MESSAGE_STOP,
  PENDING_CHECK_COMPLETE,
  PING,
  PONG,
  POSITION_CHECKED,
  PROTOCOL_VERSION,
  RETRY_AFTER_IN_REASON,
} from '../generated/protocol.js';
import type { ClientOptions, Message, TokenRequest, WebSocketConstructor } from '../index.js';
import { settled, type VirtualClock, virtualClock } from './clock.js';
import { FakeConnection, type FakePeer } from './fake-connection.js';
import type { FakeNetwork } from './fake-line.js';
import { FakeMailbox, type FakeMessage } from './fake-mailbox.js';
import { answerOf, type FakeAnswer, fetchFrom, type Refusal, refusalOf } from './fake-refusal.js';
import { addAnswer, type FakeServerOptions } from './fake-server-options.js';
import { fakeWebSocket } from './fake-socket.js';
import { type FakeStream, type FakeStreamOpening, FakeStreams } from './fake-streams.js';

/** What a browser makes of a connection that broke, or never came about. */
const CLOSE_ABNORMAL = 1006;

const TOKEN_LIFETIME_MS = 3_600_000;

/** What an attempt to connect comes to. */
type Door =
  | { readonly is: 'open' }
  /** There is no network. */
  | { readonly is: 'cut' }
  | { readonly is: 'refusing'; readonly status: number; readonly retryAfterMs?: number };

/**
 * A Tetherline server in memory, for tests: it speaks the wire to the real client, answers at once,
 * and does what no server should when a test says so. It has no clock of its own.
 */
export class FakeServer {
  /** For `createClient({ ...server.options })` and `<WebSocketInitializer {...server.options}>`. */
  readonly options: Pick<ClientOptions, 'url' | 'getToken' | 'fetch' | 'tabs' | 'debug'> & {
    WebSocket: WebSocketConstructor;
  };
  /** Every connection there was. */
  readonly connections: FakeConnection[] = [];
  /** What was sent to the application and accepted, in order. */
  readonly taken: Message[] = [];
  readonly network: FakeNetwork = { delayMs: 0, loseNext: 0, duplicateNext: 0, delayNext: 0 };
  readonly clock: VirtualClock = virtualClock;
  /** Whether pings, sends and `get_pending` are answered at all. */
  isAnswering = true;
  readonly #config: FakeServerOptions;
  readonly #mailboxes = new Map<string, FakeMailbox>();
  readonly #streams = new Map<string, FakeStreams>();
  readonly #outcomes = new Map<string, Message>();
  readonly #refusals: Refusal[] = [];
  readonly #seenTokens = new Set<string>();
  readonly #deadTokens = new Set<string>();
  readonly #cachedTokens = new Map<string, string>();
  #tokens = 0;
  #door: Door = { is: 'open' };

  constructor(config: FakeServerOptions = {}) {
    this.#config = config;
    this.options = {
      url: 'ws://fake.test',
      getToken: (request) => this.#token(request),
      WebSocket: fakeWebSocket((url, protocols, peer) => this.connect(url, protocols, peer)),
      fetch: fetchFrom((token) => this.probe(token)),
      tabs: 'separate',
      debug: false,
    };
  }

  /** The connections that are open now. */
  get open(): FakeConnection[] {
    return this.connections.filter(({ isOpen }) => isOpen);
  }

  /** Waits for everything that needs no time; for the rest there is {@link clock}. */
  readonly settled = settled;

  mailbox(user = this.#user): FakeMailbox {
    let mailbox = this.#mailboxes.get(user);
    if (!mailbox) {
      mailbox = new FakeMailbox();
      this.#mailboxes.set(user, mailbox);
    }
    return mailbox;
  }

  streams(user = this.#user): FakeStreams {
    let streams = this.#streams.get(user);
    if (!streams) {
      streams = new FakeStreams({
        send: (frame) =>
          this.#of(user)
            .filter(({ seesStreams }) => seesStreams)
            .forEach((connection) => connection.send(frame)),
        publish: (message) => this.publish(message, user),
      });
      this.#streams.set(user, streams);
    }
    return streams;
  }

  /** Begins an answer, or tries again: then `append` to it, and `finish` it. */
  openStream(opening: FakeStreamOpening = {}, user = this.#user): FakeStream {
    return this.streams(user).open(opening);
  }

  /** Puts a message into a mailbox, and sends it to whoever reads there. */
  publish(message: Message, user = this.#user): FakeMessage {
    const kept = this.mailbox(user).append(message);
    for (const connection of this.#of(user)) {
      if (connection.isReading) {
        connection.send(kept);
      }
    }
    return kept;
  }

  /** Sends to whoever is connected now, and keeps nothing. */
  publishLive(message: Message, user = this.#user): void {
    for (const connection of this.#of(user)) {
      connection.send(message);
    }
  }

  /** Sends once more what was sent already, from after a position on. */
  replay(after = 0, user = this.#user): void {
    for (const connection of this.#of(user)) {
      for (const message of this.mailbox(user).read(after).messages) {
        connection.send(message);
      }
    }
  }

  /** Breaks every connection. Clients may come back at once. */
  disconnect(code = CLOSE_ABNORMAL, reason = ''): void {
    for (const connection of this.open) {
      connection.end(code, reason);
    }
  }

  /** Takes the network away, until {@link restore}. */
  cut(): void {
    this.#door = { is: 'cut' };
    this.disconnect();
  }

  /** Ends a cut, a drain, and the refusing of tokens. */
  restore(): void {
    this.#door = { is: 'open' };
  }

  /** Makes every connection dead without a word. New ones work. */
  halfOpen(): void {
    for (const connection of this.open) {
      connection.goHalfOpen();
    }
  }

  /** Goes away for a restart: closes with 1012 and when to come back; 503 until {@link restore}. */
  drain({ retryAfterMs = 1_000 }: { retryAfterMs?: number } = {}): void {
    this.#door = { is: 'refusing', status: 503, retryAfterMs };
    this.disconnect(CLOSE_RESTART, `the server restarts; ${RETRY_AFTER_IN_REASON}${retryAfterMs}`);
  }

  /** All tokens that were used have expired; fresh ones work. */
  expireTokens(): void {
    for (const token of this.#seenTokens) {
      this.#deadTokens.add(token);
    }
    this.disconnect(CLOSE_TOKEN_EXPIRED);
  }

  /** No token is good any more, until {@link restore}: whoever is signed in is signed out. */
  refuseTokens(): void {
    this.#door = { is: 'refusing', status: 401 };
    this.expireTokens();
  }

  /** Refuses the next sends, one for each refusal. A code alone refuses for good. */
  refuseNext(...refusals: (Refusal | string)[]): void {
    this.#refusals.push(
      ...refusals.map((refusal) => (typeof refusal === 'string' ? { code: refusal } : refusal)),
    );
  }

  /** Forgets the oldest messages: whoever has not read them hears of a gap. */
  trim(through: number, user = this.#user): void {
    this.mailbox(user).trim(through);
  }

  /** Erases a user; clients come back into a new epoch. */
  erase(user = this.#user): void {
    this.mailbox(user).erase();
    this.streams(user).clear();
    this.#of(user).forEach((connection) => connection.end(CLOSE_ERASED));
  }

  /**
   * Comes back from a backup that ends at this position: in a new epoch, or, as when somebody copied
   * the files back by hand, in the same.
   */
  restoreBackup(head: number, user = this.#user, { isAnnounced = true } = {}): void {
    this.mailbox(user).restore(head, isAnnounced);
    this.streams(user).clear();
    this.#of(user).forEach((connection) => connection.end(CLOSE_RESTART));
  }

  /** A client attempts to connect. For adapters; `options.WebSocket` calls it by itself. */
  connect(url: string, protocols: readonly string[], peer: FakePeer): FakeConnection {
    const connection = new FakeConnection(url, protocols, peer, this.network, this);
    this.connections.push(connection);
    connection.duringCall(() => {
      if (this.#status(connection.token) === 426) {
        this.#seenTokens.add(connection.token);
        connection.open(this.#greeting(connection));
      } else {
        connection.close(CLOSE_ABNORMAL);
      }
    });
    return connection;
  }

  /** What the WebSocket's address answers without an upgrade; null: there is no network. */
  probe(token: string): FakeAnswer | null {
    const status = this.#status(token);
    if (status === 0) {
      return null;
    }
    const seconds = this.#door.is === 'refusing' ? (this.#door.retryAfterMs ?? 0) / 1_000 : 0;
    return answerOf(status, seconds);
  }

  /** A client has said something. */
  receive(connection: FakeConnection, frame: Message): void {
    if (frame.type === ACK) {
      return this.mailbox(connection.user).acknowledge(connection.device, Number(frame.seq));
    }
    if (frame.type === AUTHENTICATE) {
      connection.token = String(frame.token);
      this.#seenTokens.add(connection.token);
      return;
    }
    if (!this.isAnswering) {
      return;
    }
    if (frame.type === PING) {
      connection.send({ type: PONG, timestamp: frame.timestamp, server_time: now() });
    } else if (frame.type === GET_PENDING) {
      this.#sendPending(connection, frame);
    } else {
      connection.send(this.#settle(connection, frame));
    }
  }

  get #user(): string {
    return this.#config.user ?? 'user';
  }

  #of(user: string): FakeConnection[] {
    return this.open.filter((connection) => connection.user === user);
  }

  /** 426 is what an upgrade's address answers when the upgrade would have been accepted. */
  #status(token: string): number {
    if (this.#door.is === 'cut') {
      return 0;
    }
    if (this.#door.is === 'refusing') {
      return this.#door.status;
    }
    return this.#deadTokens.has(token) ? 401 : 426;
  }

  #token({ user, fresh }: TokenRequest): string {
    const cached = this.#cachedTokens.get(user);
    if (cached !== undefined && !fresh) {
      return cached;
    }
    this.#tokens += 1;
    const token = `fake-token-${this.#tokens}-of-${user}`;
    this.#cachedTokens.set(user, token);
    return token;
  }

  #greeting({ user, device }: FakeConnection): Message {
    const mailbox = this.mailbox(user);
    return {
      type: CONNECTION_ESTABLISHED,
      connection_id: `connection-${this.connections.length}`,
      user_uuid: user,
      protocol: PROTOCOL_VERSION,
      epoch: mailbox.epoch,
      head: mailbox.head,
      head_id: mailbox.idAt(mailbox.head),
      cursor: mailbox.cursor(device),
      cursor_id: mailbox.idAt(mailbox.cursor(device)),
      checks_positions: true,
      heartbeat_interval_ms: this.#config.heartbeatIntervalMs ?? DEFAULT_HEARTBEAT_INTERVAL_MS,
      token_expires_in_ms: this.#config.tokenLifetimeMs ?? TOKEN_LIFETIME_MS,
      limits: { message_bytes_max: DEFAULT_MESSAGE_BYTES_MAX },
      timestamp: now(),
    };
  }

  #sendPending(connection: FakeConnection, frame: Message): void {
    const { after: wanted, after_id: id, epoch } = frame;
    const mailbox = this.mailbox(connection.user);
    const { after, known } = mailbox.start(wanted, epoch, connection.device, id);
    // Whoever has read another history has seen its answers, too.
    const have = known || id === undefined ? frame.have : frame.have && [];
    const { next, messages, recovered } = mailbox.read(after);
    const streams = this.streams(connection.user);
    connection.isReading = true;
    connection.seesStreams = Array.isArray(have);
    if (id !== undefined) {
      connection.send({
        type: POSITION_CHECKED,
        after: wanted,
        ...(id !== null && { after_id: id }),
        from: after,
        from_id: mailbox.idAt(after),
      });
    }
    if (next !== null) {
      connection.send({ type: MAILBOX_GAP, after, next });
    }
    for (const frame of [...messages, ...(Array.isArray(have) ? streams.resume(have) : [])]) {
      connection.send(frame);
    }
    connection.send({
      type: PENDING_CHECK_COMPLETE,
      data: {
        delivered: messages.length,
        head: mailbox.head,
        recovered: recovered && known,
        streams: streams.running.length,
      },
    });
  }

  /** The one answer that a send gets, and gets again. */
  #settle(connection: FakeConnection, frame: Message): Message {
    const key = `${connection.user}/${String(frame.id)}`;
    const earlier = this.#outcomes.get(key);
    if (earlier) {
      return earlier;
    }
    const { blockedBy } = connection;
    if (blockedBy && blockedBy.id !== frame.id) {
      // None overtakes the one that has to come again.
      return refusalOf(frame, { code: blockedBy.code, retryable: true });
    }
    connection.blockedBy = null;
    const refusal = this.#refusals.shift() ?? this.#stop(connection, frame);
    if (refusal?.retryable) {
      connection.blockedBy = { id: frame.id, code: refusal.code };
      return refusalOf(frame, refusal);
    }
    const outcome: Message = refusal
      ? refusalOf(frame, refusal)
      : { type: ACCEPTED, ref: String(frame.id) };
    this.#outcomes.set(key, outcome);
    if (!refusal) {
      this.taken.push(frame);
      const { onSend, onStop } = this.#config;
      const told = frame.type === MESSAGE_STOP ? onStop : onSend;
      addAnswer(outcome, told?.(frame, connection.user));
    }
    return outcome;
  }

  /** Nothing that is no stop is refused here. */
  #stop({ user }: FakeConnection, frame: Message): Refusal | undefined {
    const isUnknown = frame.type === MESSAGE_STOP && !this.streams(user).stop(frame);
    return isUnknown ? { code: 'not_found' } : undefined;
  }
}

/** A Tetherline server in memory: see {@link FakeServer}. */
export function createFakeServer(options?: FakeServerOptions): FakeServer {
  return new FakeServer(options);
}

function now(): string {
  return new Date().toISOString();
}
