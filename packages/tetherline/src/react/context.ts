'use client';

import { createContext, useContext, useMemo } from 'react';

import { MESSAGE_STOP } from '../generated/protocol.js';
import type { Accepted, Client, HandlersOf, Send, SentMessage, StopTarget } from '../index.js';

/** What components get of the connection. */
export interface WebSocketContextValue<Own extends object = object, Sent extends object = object> {
  isConnected: boolean;
  /** Attempts since the last connection; 0 while connected. */
  reconnectAttempts: number;
  /** Sends, now or when there is a connection again. Nobody has to look at the promise. */
  send: Send<Sent>;
  /** Stops an answer: it keeps the text that it has. Nobody has to look at the promise. */
  stop: (target: StopTarget) => Promise<Accepted>;
  /** Asks for what waits in the mailbox. */
  requestPending: () => void;
  /** Registers handlers; returns the function that takes them away again. */
  registerHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => () => void;
  unregisterHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => void;
}

/** The same, as {@link withWebSocket} passes it to a component. */
export type WebSocketProps<
  Own extends object = object,
  Sent extends object = object,
> = WebSocketContextValue<Own, Sent>;

/** What may stand in for it in a test, as a literal: `stop` then goes out by `send`. */
export type ProvidedWebSocketContextValue<
  Own extends object = object,
  Sent extends object = object,
> = Omit<WebSocketContextValue<Own, Sent>, 'stop'> &
  Partial<Pick<WebSocketContextValue<Own>, 'stop'>>;

export const WebSocketContext = createContext<ProvidedWebSocketContextValue | null>(null);
WebSocketContext.displayName = 'WebSocketContext';

/** The client itself, for what few components need. */
export const ClientContext = createContext<Client | null>(null);
ClientContext.displayName = 'TetherlineClientContext';

/** The connection. Renders again only when `isConnected` or `reconnectAttempts` change. */
export function useWebSocketContext(): WebSocketContextValue {
  return useWhole('useWebSocketContext');
}

/** The same, under the name that goes with {@link WebSocketProps}. */
export function useWebSocketProps(): WebSocketProps {
  return useWhole('useWebSocketProps');
}

export function useWhole(hook: string): WebSocketContextValue {
  const value = provided(useContext(WebSocketContext), hook);
  // Everybody gets the provider's own object; only a literal has to be completed.
  return useMemo(() => (canStop(value) ? value : withStop(value)), [value]);
}

function canStop(value: ProvidedWebSocketContextValue): value is WebSocketContextValue {
  return value.stop !== undefined;
}

function withStop(value: ProvidedWebSocketContextValue): WebSocketContextValue {
  // What an application describes are its own messages; this one is ours.
  const stop = (target: StopTarget) =>
    value.send({ ...target, type: MESSAGE_STOP } as object as SentMessage);
  return { ...value, stop };
}

export function provided<T>(value: T | null, hook: string): T {
  if (value === null) {
    throw new Error(
      `${hook} must be used within a WebSocketInitializer provider.\n` +
        'Make sure WebSocketInitializer is present in your component tree,\n' +
        'after AuthInitializer and AuthProvider.',
    );
  }
  return value;
}
