'use client';

import { createContext, useContext } from 'react';

import type { Accepted, Client, HandlersOf, OutgoingMessage, SendOptions } from '../index.js';

/** What components get of the connection: exactly this, so that a literal can stand in for it. */
export interface WebSocketContextValue<Own extends object = object> {
  isConnected: boolean;
  /** Attempts since the last connection; 0 while connected. */
  reconnectAttempts: number;
  /** Sends, now or when there is a connection again. Nobody has to look at the promise. */
  send: (message: OutgoingMessage, options?: SendOptions) => Promise<Accepted>;
  /** Asks for what waits in the mailbox. */
  requestPending: () => void;
  /** Registers handlers; returns the function that takes them away again. */
  registerHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => () => void;
  unregisterHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => void;
}

/** The same, as {@link withWebSocket} passes it to a component. */
export type WebSocketProps<Own extends object = object> = WebSocketContextValue<Own>;

export const WebSocketContext = createContext<WebSocketContextValue | null>(null);
WebSocketContext.displayName = 'WebSocketContext';

/** The client itself, for what few components need. */
export const ClientContext = createContext<Client | null>(null);
ClientContext.displayName = 'TetherlineClientContext';

/** The connection. Renders again only when `isConnected` or `reconnectAttempts` change. */
export function useWebSocketContext(): WebSocketContextValue {
  return provided(useContext(WebSocketContext), 'useWebSocketContext');
}

/** The same, under the name that goes with {@link WebSocketProps}. */
export function useWebSocketProps(): WebSocketProps {
  return provided(useContext(WebSocketContext), 'useWebSocketProps');
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
