import type { Message, MessageMeta, OutgoingMessage, StopTarget } from '../index.js';
import { callHandlers, Handlers } from '../core/messages/handlers.js';
import type { WebSocketContextValue } from '../react/index.js';

export type { VirtualClock } from './clock.js';
export type { FakeConnection, FakePeer } from './fake-connection.js';
export type { FakeNetwork } from './fake-line.js';
export type { FakeMailbox, FakeMessage } from './fake-mailbox.js';
export type { FakeAnswer, Refusal } from './fake-refusal.js';
export { createFakeServer, type FakeServer } from './fake-server.js';
export type { FakeServerOptions } from './fake-server-options.js';
export type {
  FakeStream,
  FakeStreamEnding,
  FakeStreamOpening,
  FakeStreams,
} from './fake-streams.js';

/** A context value for tests, with what a test wants to do and see beside it. */
export interface MockWebSocketContext extends WebSocketContextValue {
  /** Hands a message to the handlers that are registered, as the server would. */
  deliver: (message: Message, meta?: Partial<MessageMeta>) => void;
  /** What was sent, in order. Every send is accepted at once. */
  sent: OutgoingMessage[];
  /** What was to be stopped, in order. */
  stopped: StopTarget[];
  /** How often `requestPending` was called. */
  pendingRequests: () => number;
}

/**
 * A stand-in for the connection, for `<WebSocketContext.Provider value={…}>`. It talks to nobody;
 * handlers are really registered, and `deliver` really calls them.
 */
export function mockWebSocketContext(
  overrides: Partial<WebSocketContextValue> = {},
): MockWebSocketContext {
  const handlers = new Handlers();
  const sent: OutgoingMessage[] = [];
  const stopped: StopTarget[] = [];
  let pendingRequests = 0;
  return {
    isConnected: true,
    reconnectAttempts: 0,
    send: (message) => {
      sent.push(message);
      return Promise.resolve({ id: message.id ?? `mock-${sent.length}` });
    },
    stop: (target) => {
      stopped.push(target);
      return Promise.resolve({ id: `mock-stop-${stopped.length}` });
    },
    requestPending: () => {
      pendingRequests += 1;
    },
    registerHandlers: (map) => handlers.add(map),
    unregisterHandlers: (map) => handlers.remove(map),
    ...overrides,
    deliver: (message, meta = {}) => {
      // A test wants to see what its handlers throw; the real client reports it and goes on.
      const errors: unknown[] = [];
      callHandlers(
        handlers.of(message.type),
        message,
        { replayed: false, ...meta },
        { isLive: true },
        { handlerFailed: (error) => errors.push(error) },
      );
      if (errors.length > 0) {
        throw errors[0];
      }
    },
    sent,
    stopped,
    pendingRequests: () => pendingRequests,
  };
}
