import * as Output from '../generated/engine/output.js';
import { ACK, AUTHENTICATE, MESSAGE_STOP } from '../generated/protocol.js';
import { openSocket } from './connection/open.js';
import { probe } from './connection/probe.js';
import { resolveToken } from './connection/token.js';
import type { Engine } from './engine/engine.js';
import type { Call } from './engine/loop.js';
import { Machine } from './engine/machine.js';
import { failureOf, type TetherlineError } from './errors.js';
import { Handlers } from './messages/handlers.js';
import { isVisible, watchPage } from './page/page.js';
import { Reporter } from './page/report.js';
import { Snapshots } from './page/snapshot.js';
import { inspector } from './page/tap.js';
import { keepSends, type Restore } from './sends/kept-sends.js';
import { prepare, signedOut, tooLarge } from './sends/outbox.js';
import { transmitSend } from './sends/transmit.js';
import { Session } from './session.js';
import { ShownStreams } from './streams/shown-streams.js';
import { Left } from './tabs/left.js';
import { postWelcome, receivePost } from './tabs/posts.js';
import { meetTabs, TabLink, type Tabs } from './tabs/tabs.js';
import type {
  Accepted,
  Client,
  ClientOf,
  ClientOptions,
  HandlersOf,
  OutgoingMessage,
  SendOptions,
  Snapshot,
  StopTarget,
} from './types.js';

/** A client, signed out. Nothing happens before its first `signIn`. */
export function createClient<Own extends object = object, Sent extends object = object>(
  options: ClientOptions<Own>,
): ClientOf<Own, Sent>;
export function createClient(options: ClientOptions): Client {
  return new TetherlineClient(options);
}

class TetherlineClient implements Client {
  readonly getStream: Client['getStream'];
  readonly getStreams: Client['getStreams'];
  readonly subscribeStreams: Client['subscribeStreams'];
  readonly #options: ClientOptions;
  readonly #streams: ShownStreams;
  readonly #report: Reporter;
  readonly #handlers = new Handlers();
  readonly #snapshots = new Snapshots();
  readonly #machine = new Machine(
    (...output) => this.#perform(...output),
    (engine) => this.#drained(engine),
  );
  /** Why there can be no connection. */
  #failure: TetherlineError | null = null;
  #session: Session | null = null;
  readonly #left = new Left();
  #unwatchPage: (() => void) | null = null;
  #isDestroyed = false;
  /** Callbacks of the application, made once the engine is drained: they may call anything. */
  #news: (() => void)[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#report = new Reporter(options);
    this.#handlers.hold(options.hold ?? []);
    this.#streams = new ShownStreams(options.streams);
    ({ getStream: this.getStream, getStreams: this.getStreams } = this.#streams);
    this.subscribeStreams = this.#streams.subscribe;
  }

  readonly signIn = (user: string): void => {
    if (this.#isDestroyed) {
      throw new Error('Tetherline: this client is destroyed; create another one.');
    }
    if (!this.#session?.isLive || this.#session.user !== user) {
      const session = this.#newSession(user);
      this.#left.meet(user);
      this.signOut();
      this.#session = session;
      this.#start();
      this.#keepSends(session);
      this.#unwatchPage = watchPage(
        (into) => this.#call(into),
        () => {
          session.isAway = true;
          this.#machine.callAtOnce((engine, now) => engine.step_away(now));
        },
        () => (session.isAway ? this.#connect(session) : this.reconnect()),
      );
    }
    this.#connect(this.#session);
  };

  #connect(session: Session): void {
    session.isAway = false;
    this.#machine.callAtOnce((engine, now) => {
      if (this.#options.tabs !== 'separate') {
        session.tabs ??= this.#meetTabs(session);
      }
      if (session.tabs) {
        engine.sign_in_among_tabs(isVisible() ? 1 : 0, now);
      } else {
        engine.sign_in(now);
      }
    });
  }

  readonly signOut = (): void => {
    const kept = this.#session?.isLive ? this.#session.outbox.kept : null;
    this.#end((engine, now) => engine.sign_out(now));
    kept?.clear('user');
    this.#left.signOut(this.#options.tabs !== 'separate');
  };

  readonly leave = (): void => {
    this.#left.leave(this.#session);
    this.#end((engine, now) => engine.leave(now));
  };

  #end(goodbye: (engine: Engine, now: number) => void): void {
    const session = this.#session;
    if (this.#failure) {
      this.#show('signed_out');
    }
    if (!session?.isLive) {
      return;
    }
    this.#unwatchPage?.();
    // First of all: no handler is called any more; the engine still says goodbye.
    session.end();
    this.#machine.end(goodbye);
    if (!this.#machine.loop) {
      this.#show('signed_out');
    }
    if (this.#session === session) {
      this.#session = null;
    }
  }

  readonly getSnapshot = (): Snapshot => this.#snapshots.current;
  readonly subscribe = (listener: () => void): (() => void) => this.#snapshots.subscribe(listener);

  readonly on = <Type extends string>(handlers: HandlersOf<Type>): (() => void) => {
    const remove = this.#handlers.add(handlers);
    this.#handlersChanged();
    return remove;
  };

  readonly hold = (...types: string[]): (() => void) => {
    const release = this.#handlers.hold(types);
    if (this.#session) {
      this.#machine.inbound?.deliveries.keepParked(this.#session);
    }
    return () => {
      release();
      this.#handlersChanged();
    };
  };

  #handlersChanged(): void {
    this.#machine.inbound?.deliveries.handlersChanged(() => this.#session);
  }

  readonly off = <Type extends string>(handlers: HandlersOf<Type>): void =>
    this.#handlers.remove(handlers);

  readonly send = (message: OutgoingMessage, options?: SendOptions): Promise<Accepted> => {
    return this.#send(this.#session, message, options?.ttlMs);
  };

  readonly stop = (target: StopTarget): Promise<Accepted> =>
    this.send({ ...target, type: MESSAGE_STOP });

  readonly showStreams: Client['showStreams'] = (store) =>
    this.#streams.show(store, this.#machine, this.#report);
  readonly requestPending = (): void => this.#call((engine, now) => engine.request_pending(now));
  readonly reconnect = (): void => this.#call((engine, now) => engine.wake(now));

  readonly historyAsOf = (seq: number): void => {
    if (!Number.isSafeInteger(seq) || seq < 0) {
      throw new TypeError(`Tetherline: ${String(seq)} is no position in a mailbox.`);
    }
    this.#call((engine, now) => engine.history_as_of(seq, now));
  };

  readonly destroy = (): void => {
    this.leave();
    this.#isDestroyed = true;
    this.#snapshots.clear();
  };

  #newSession(user: string): Session {
    try {
      return new Session(user, this.#options);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #start(): void {
    this.#machine.start(this.#streams, this.#handlers, this.#report, (why) => this.#fail(why));
    if (this.#machine.starting) {
      this.#show('connecting');
    }
  }

  /** No attempt can mend this, and whoever was signed in before is not asked for now. */
  #fail(error: unknown): void {
    this.leave();
    this.#show('failed', failureOf(error));
  }

  #show(status: Snapshot['status'], error: TetherlineError | null = null): void {
    this.#failure = error;
    for (const listener of this.#snapshots.show(status, error)) {
      this.#report.tell(listener);
    }
  }

  #call(into: Call): void {
    if (this.#session?.isLive) {
      this.#machine.call(into);
    }
  }

  #keepSends(session: Session): void {
    const restore: Restore = (...sent) => this.#send(session, ...sent, 1);
    keepSends(this.#options.outbox, session, this.#machine, this.#report, restore);
  }

  #send(
    session: Session | null,
    message: OutgoingMessage,
    ttlMs?: number,
    restored = 0,
  ): Promise<Accepted> {
    const promise = this.#take(session, message, ttlMs, restored);
    // Whoever sends and forgets is not to hear of it as an unhandled rejection, but is to find it.
    promise.catch((error: unknown) => {
      this.#report.notSent(message, error as TetherlineError);
      inspector.tap?.notSent(this, message, error as TetherlineError);
    });
    return promise;
  }

  async #take(
    session: Session | null,
    message: OutgoingMessage,
    ttlMs: number | undefined,
    restored: number,
  ): Promise<Accepted> {
    const unsettled = prepare(message, ttlMs);
    const refusal = session?.isLive && tooLarge(unsettled, session.messageBytesMax);
    if (refusal) {
      throw refusal;
    }
    if (session?.isLive && this.#machine.starting) {
      // A reload does not wait for the engine either.
      session.outbox.kept?.put(unsettled);
      await this.#machine.starting;
    }
    if (!session?.isLive) {
      throw this.#failure ?? signedOut(unsettled.id);
    }
    this.#call((engine, now) => session.outbox.add(engine, unsettled, restored, now));
    return await unsettled.settled;
  }

  #perform(output: number, a: number, b: number, c: number, d: number): void {
    const session = this.#session;
    if (!session) {
      return;
    }
    inspector.tap?.output(this, session, this.#machine.loop, output, a, b);
    switch (output) {
      case Output.RESOLVE_TOKEN:
        return resolveToken(session, a === 1, this.#options, this.#report, (into) =>
          this.#call(into),
        );
      case Output.OPEN:
        return openSocket(session, a, this.#options.WebSocket, this.#report, {
          received: (data) => this.#machine.inbound?.receive(session, a, data),
          call: (into) => this.#call(into),
        });
      case Output.PROBE:
        return this.#probe(session, a);
      case Output.DETACH:
        return this.#detach(session, a, b);
      case Output.PING:
        return session.link?.ping();
      case Output.GET_PENDING:
        return this.#machine.inbound?.ask(session, a, b, c);
      case Output.ACK:
        return this.#transmit(session, { type: ACK, seq: a });
      case Output.AUTHENTICATE:
        return this.#transmit(session, { type: AUTHENTICATE, token: session.token });
      case Output.TRANSMIT:
        return transmitSend(session, a, this.#machine.loop?.engine);
      case Output.SETTLED:
        session.link?.passedOn?.settle(a);
        return session.outbox.settle(a, b);
      case Output.GAP:
        this.#news.push(() => this.#report.gap({ after: a, next: b }));
        return;
      case Output.GRACE_OVER:
        return this.#machine.inbound?.deliveries.graceOver(session, this.#news);
      case Output.PARKED_DROPPED:
        return this.#machine.inbound?.deliveries.dropped(session, a, b === 1, this.#news);
      case Output.HANDLER_TIMED_OUT:
        return this.#machine.inbound?.deliveries.timedOut(session, a, this.#news);
      case Output.IDENTITY_REFUSED:
        this.#news.push(() => this.#report.identityRefused(session.user, a === 1));
        return;
      case Output.LOCK:
        return session.tabs?.lock(a === 1);
      case Output.UNLOCK:
        session.tabs?.close();
        session.tabs = null;
        return;
      case Output.JOIN:
        session.link = session.tabs && new TabLink(a, b, session.through, session.tabs);
        return;
      case Output.WELCOME:
        return postWelcome(session, this.#machine.inbound?.keptId, a, b, c, d);
      case Output.SIGNED_OUT_ELSEWHERE:
        return this.#signedOutElsewhere(session);
      case Output.STREAM_DROPPED:
        return this.#streams.store?.drop(a);
      default:
        if (output > Output.POST) {
          session.tabs?.post(output - Output.POST, d, a, b, c);
        }
        // STATUS_CHANGED, and what a newer engine may say: the snapshot is compared anyway.
        return;
    }
  }

  #meetTabs(session: Session): Tabs | null {
    return meetTabs(session.tabsName, {
      posted: (post) => {
        const inbound = this.#machine.inbound;
        if (session.isLive && inbound) {
          receivePost(post, session, inbound, (into) => this.#call(into));
        }
      },
      locked: (isGranted) => {
        if (session.isLive) {
          this.#call((engine, now) => engine.lock(isGranted ? 1 : 0, now));
        }
      },
    });
  }

  #signedOutElsewhere(session: Session): void {
    this.#unwatchPage?.();
    session.end();
    session.outbox.kept?.clear('page');
    this.#news.push(() => this.#report.signedOutElsewhere(session.user));
  }

  #probe(session: Session, conn: number): void {
    probe(session, this.#options.fetch, this.#report, ({ status, code, retryAfterMs }) =>
      this.#call((engine, now) => engine.probed(conn, status, code, retryAfterMs, now)),
    );
  }

  #detach(session: Session, conn: number, code: number): void {
    session.probing?.abort();
    if (session.link?.conn === conn) {
      session.link.detach(code);
      session.link = null;
      this.#report.debug('WebSocket disconnected');
    }
  }

  #transmit(session: Session, frame: object): void {
    session.link?.send(JSON.stringify(frame));
  }

  #drained(engine: Engine): void {
    for (const listener of this.#snapshots.refresh(engine)) {
      this.#report.tell(listener);
    }
    const news = this.#news;
    this.#news = [];
    for (const tell of news) {
      tell();
    }
  }
}
