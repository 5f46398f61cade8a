import type { ControlMessages } from '../generated/protocol.js';
import type { TetherlineError } from './errors.js';
import type { Logger } from './page/log.js';
import type { Snapshot } from './page/status.js';
import type { OutboxStore } from './sends/outbox-store.js';
import type { StopTarget, StreamedMessage, StreamStore } from './streams/stream.js';

export type { KeptOutbox, KeptSend, OutboxPage, OutboxStore } from './sends/outbox-store.js';
export type { ControlMessages } from '../generated/protocol.js';
export type * from './streams/stream.js';
export type * from './page/status.js';

/**
 * The messages of an application, by type. Applications add theirs by declaration merging:
 *
 * ```ts
 * declare module 'tetherline' {
 *   interface MessageMap {
 *     notification_new: { title: string };
 *   }
 * }
 * ```
 */
export interface MessageMap {}

/**
 * The messages that an application sends, by type, added in the same way. Where nothing is described,
 * anything with a `type` may be sent; where something is, nothing else.
 */
export interface SentMessageMap {}

/** A message whose fields nobody has described. */
export interface Message {
  type: string;
  [field: string]: unknown;
}

/** Every message type that has a description. `Own`: those that only this client describes. */
export type KnownMessages<Own extends object = object> = ControlMessages & MessageMap & Own;

/** Written anew, so that interfaces, too, are taken wherever a {@link Message} is. */
type Fields<M> = { [Field in keyof M]: M[Field] };

/** Any of the messages that have a description; of none, any message. */
export type AnyMessage<Own extends object = object> = keyof (MessageMap & Own) extends never
  ? Message
  : {
      [Each in keyof (MessageMap & Own) & string]: Fields<(MessageMap & Own)[Each]> & {
        type: Each;
      };
    }[keyof (MessageMap & Own) & string];

/** What a handler of `Type` receives: its described fields and no others, or unknown ones. */
export type MessageOf<Type extends string, Own extends object = object> = Type extends '*'
  ? AnyMessage<Own>
  : Type extends keyof KnownMessages<Own>
    ? Fields<KnownMessages<Own>[Type]> & { type: Type }
    : Message;

/** What came with a message, beside it. */
export interface MessageMeta {
  /** Its position in the user's mailbox; live-only and control messages have none. */
  seq?: number | undefined;
  id?: string | undefined;
  /** It waited in the mailbox before this connection: no reason to ring a bell. */
  replayed: boolean;
}

/** Called once per message. A message whose handler returns a promise is handled when it settles. */
// A method's type, because methods may be given a handler of a narrower message.
export type Handler<M = Message> = { handle(message: M, meta: MessageMeta): unknown }['handle'];

/** Handlers for these message types. */
export type HandlersOf<Type extends string, Own extends object = object> = {
  [Each in Type]: Handler<MessageOf<Each, Own>>;
};

/** Handlers for any message types. */
export type HandlerMap<Own extends object = object> = {
  [Type in keyof KnownMessages<Own> & string]?: Handler<MessageOf<Type, Own>>;
} & { [type: string]: Handler };

/** What is wrong with a message, and where in it. */
export interface MessageIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What `defineMessages` of `tetherline/schema` makes: message types that are checked. */
export interface Messages<Own extends object = object> {
  /** The message with what its schema made of it; null, and `refuse` is called, if it is invalid. */
  readonly read: (message: Message, refuse: RefuseMessage) => Message | null;
  /** Only a type: nothing is there when the program runs. */
  readonly types?: Own;
}

/** Called with one sentence, and all that the schema found. */
export type RefuseMessage = (
  text: string,
  issues: readonly MessageIssue[],
  cause?: unknown,
) => void;

/** A message for the server. `id` is chosen (UUIDv7) if it is left out. */
export interface OutgoingMessage {
  type: string;
  id?: string;
  [field: string]: unknown;
}

/** What may be sent: what is described, or anything. `Sent`: what only this client describes. */
export type SentMessage<Sent extends object = object> = [keyof (SentMessageMap & Sent)] extends [
  never,
]
  ? OutgoingMessage
  : {
      [Type in keyof (SentMessageMap & Sent) & string]: Fields<(SentMessageMap & Sent)[Type]> & {
        type: Type;
        id?: string;
      };
    }[keyof (SentMessageMap & Sent) & string];

/** How a message is sent. */
export interface SendOptions {
  /** How long it may wait to be taken, in ms: at most three days. Default: one day. */
  ttlMs?: number | undefined;
}

/** The server's application has taken a message. */
export interface Accepted {
  id: string;
  /** What it answered, if it answered more than yes; the same for a repeat of the send. */
  answer?: unknown;
}

/** Sends a message. */
// A method's type, because a client that takes only what is described will do for any client.
export type Send<Sent extends object = object> = {
  send(message: SentMessage<Sent>, options?: SendOptions): Promise<Accepted>;
}['send'];

/**
 * Messages that will never come: read history anew. They were between two positions; where `next` is not
 * behind `after`, the mailbox has another history now (a restored backup), and goes on from `next`.
 */
export interface Gap {
  after: number;
  next: number;
}

/** What `onIdentityRefused` is told. */
export interface IdentityRefusal {
  /** `getToken` says that nobody is signed in. Otherwise fresh tokens are tried again. */
  isFinal: boolean;
}

/** What `getToken` is told. */
export interface TokenRequest {
  user: string;
  /** The last token was refused or runs out: a cached one will not do. */
  fresh: boolean;
  /** Aborted when nobody waits for the token any more. */
  signal: AbortSignal;
}

type Listener<E> = { handle(event: E): void }['handle'];

/** What is needed of a WebSocket; the browser's has it, and so has the one of npm `ws`. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: Listener<never> | null;
  onmessage: Listener<{ data: unknown }> | null;
  onclose: Listener<{ code: number; reason?: string }> | null;
  onerror: Listener<never> | null;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface ClientOptions<Own extends object = object> {
  /**
   * Where the WebSocket is: `ws(s)://`, `http(s)://` or relative to the page. `{user}` stands for
   * the user; an address that does not name them is a server's, and gets `/ws/user/{user}` behind its
   * path. Default: this origin.
   * A function has to encode the user by itself (`encodeURIComponent`).
   */
  url?: string | ((user: string) => string | undefined);
  /** Asked before every attempt. `null` says that nobody is signed in. */
  getToken: (request: TokenRequest) => string | null | Promise<string | null>;
  /** Default: random, per user and browser profile. */
  device?: string;
  /**
   * Whether the tabs in which the same user is signed in share one connection. Default: `shared`,
   * where the browser can (Web Locks need HTTPS or localhost) and this is a page.
   */
  tabs?: 'shared' | 'separate';
  /** Whether to log what happens. Default: outside of production builds. */
  debug?: boolean;
  logger?: Logger;
  /**
   * A fresh token was refused, too: said once, until a connection lasts again. Further ones are tried,
   * slower and slower, so nobody has to be signed out. `isFinal`: `getToken` has answered `null`, and
   * nothing is tried until somebody signs in.
   */
  onIdentityRefused?: (user: string, refusal: IdentityRefusal) => void;
  /** The person signed out in another tab, and so in this one. */
  onSignedOutElsewhere?: (user: string) => void;
  /** The server reports a failure. One that is about a send comes only where it was sent. */
  onServerError?: (error: TetherlineError) => void;
  /** Message types with schemas: what comes otherwise is reported, and its handlers are not called. */
  messages?: Messages<Own> | undefined;
  /** A message is not as its schema has it. It counts as handled. */
  onInvalidMessage?: (message: Message, issues: readonly MessageIssue[]) => void;
  /** A handler threw, rejected or took too long. */
  onHandlerError?: (error: unknown, message: Message) => void;
  onGap?: (gap: Gap) => void;
  /**
   * A message found no handler: of its type, or of `'*'`. It counts as handled and is acknowledged
   * whatever this returns. Where it is not given, development builds warn, once per type.
   */
  onUnhandled?: (message: Message, meta: MessageMeta) => void;
  /** Types that are held from the start, as by {@link Client.hold}, for as long as there is the client. */
  hold?: readonly string[] | undefined;
  /** Where sends survive a reload: `indexedDbOutbox()`. Default: they do not. */
  outbox?: OutboxStore | undefined;
  /** Shows streams: `streamedMessages()`. Default: only the stream messages come. */
  streams?: StreamStore | undefined;
  WebSocket?: WebSocketConstructor;
  fetch?: typeof globalThis.fetch;
}

/** One authenticated connection for whoever is signed in. Its methods need no `this`. */
export interface Client {
  /** Opens for this user; if another one is signed in, that one is signed out first. */
  readonly signIn: (user: string) => void;
  /** Closes, in all tabs, and forgets everything of the user, unsettled sends included. */
  readonly signOut: () => void;
  /** As `signOut`, but for this page only: in other tabs the user stays signed in. */
  readonly leave: () => void;
  readonly getSnapshot: () => Snapshot;
  /** Calls back after every change of the snapshot. Returns its own undoing. */
  readonly subscribe: (listener: () => void) => () => void;
  /**
   * Registers handlers, beside those that are there. Returns its own undoing. One for `'*'` gets every
   * message of the application, on arrival and after the handlers of its type; a message waits for
   * these all the same.
   */
  readonly on: <Type extends string>(handlers: HandlersOf<Type>) => () => void;
  /** Takes away what `on` registered with these handlers. */
  readonly off: <Type extends string>(handlers: HandlersOf<Type>) => void;
  /**
   * Holds types whose handler is to come: while they have none, their messages wait for it in order and
   * are not acknowledged, so a page that is closed meanwhile gets them again. Returns its own undoing;
   * what still waits then counts as unhandled. Beyond 1,024 messages or 1 MiB the page reads no further,
   * of any type, until there is a handler; the server keeps the rest.
   */
  readonly hold: (...types: string[]) => () => void;
  /**
   * Sends, now or when there is a connection again. Resolves when the server's application took
   * the message, rejects with a {@link TetherlineError}; nobody has to look.
   */
  readonly send: Send;
  /**
   * Stops an answer: it keeps the text that it has. A {@link send} like any other, behind those that
   * were made before it.
   */
  readonly stop: (target: StopTarget) => Promise<Accepted>;
  /** A stream, or one of the last that have ended. Needs the option `streams`. */
  readonly getStream: (uuid: string) => StreamedMessage | undefined;
  /** All of them. The array is the same one for as long as nothing changed. */
  readonly getStreams: () => readonly StreamedMessage[];
  /** Calls back after every change of an answer. Returns its own undoing. */
  readonly subscribeStreams: (listener: () => void) => () => void;
  /**
   * From now on streams are shown, as with the option `streams`, which counts if it was
   * given. The React provider does so with a client that it is given.
   */
  readonly showStreams: (store: () => StreamStore) => void;
  /** Asks for what waits in the mailbox. A reconnect does so by itself. */
  readonly requestPending: () => void;
  /** Attempts at once to connect, while the client waits for its next attempt: "try now". */
  readonly reconnect: () => void;
  /** History that was read over HTTP is true as of this position: read on from there. */
  readonly historyAsOf: (seq: number) => void;
  /** Leaves, for good: a destroyed client does nothing any more. */
  readonly destroy: () => void;
}

/** A client that knows message types of its own. It will do wherever a {@link Client} is asked for. */
export type ClientOf<Own extends object, Sent extends object = object> = object extends Own & Sent
  ? Client
  : {
      readonly on: <Type extends string>(handlers: HandlersOf<Type, Own>) => () => void;
      readonly off: <Type extends string>(handlers: HandlersOf<Type, Own>) => void;
      readonly send: Send<Sent>;
      /** Only a type: nothing is there when the program runs. */
      readonly types?: Own;
    } & Omit<Client, 'send'>;
