'use client';

import { type Context, createElement, type ReactNode } from 'react';

import { type ClientOf, type ClientOptions, createClient } from '../index.js';
import type { HandlersOf, Messages } from '../index.js';
import {
  type ProvidedWebSocketContextValue,
  useWebSocketContext,
  useWebSocketProps,
  WebSocketContext,
  type WebSocketContextValue,
  type WebSocketProps,
} from './context.js';
import { WebSocketInitializer, type WebSocketInitializerProps } from './initializer.js';
import { useConnection, useTetherlineClient } from './use-connection.js';
import { useStreamedMessage, useStreamedMessages } from './use-streamed-message.js';
import { useWebSocketHandlers } from './use-handlers.js';
import { withWebSocket, type WithWebSocket } from './with-websocket.js';

/** Everything of this entry, for message types of one's own. */
export interface Tetherline<Own extends object> {
  createClient: (options: Omit<ClientOptions, 'messages'>) => ClientOf<Own>;
  WebSocketInitializer: (props: WebSocketInitializerProps) => ReactNode;
  WebSocketContext: Context<ProvidedWebSocketContextValue<Own> | null>;
  useConnection: typeof useConnection;
  useStreamedMessage: typeof useStreamedMessage;
  useStreamedMessages: typeof useStreamedMessages;
  useTetherlineClient: () => ClientOf<Own>;
  useWebSocketContext: () => WebSocketContextValue<Own>;
  useWebSocketHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => void;
  useWebSocketProps: () => WebSocketProps<Own>;
  withWebSocket: WithWebSocket<Own>;
}

/**
 * The bindings, knowing an application's message types: `createTetherline<Types>()`, or with what
 * `defineMessages` of `tetherline/schema` makes, which also checks every message. The contexts are
 * the same as without it.
 */
export function createTetherline<Own extends object>(messages?: Messages<Own>): Tetherline<Own> {
  const bindings: Omit<Tetherline<object>, 'createClient'> = {
    WebSocketInitializer: messages
      ? (props) => createElement(WebSocketInitializer, { messages, ...props } as typeof props)
      : WebSocketInitializer,
    WebSocketContext,
    useConnection,
    useStreamedMessage,
    useStreamedMessages,
    useTetherlineClient,
    useWebSocketContext,
    useWebSocketHandlers,
    useWebSocketProps,
    withWebSocket,
  };
  return {
    // The same at run time; what they know of the messages is for the compiler.
    ...(bindings as unknown as Tetherline<Own>),
    createClient: (options) => createClient<Own>({ ...options, messages }),
  };
}
