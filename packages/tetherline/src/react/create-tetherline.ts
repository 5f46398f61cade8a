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
import { useStreamedMessage, useStreamedMessages, useStreams } from './use-streamed-message.js';
import { useWebSocketHandlers } from './use-handlers.js';
import { withWebSocket, type WithWebSocket } from './with-websocket.js';

/** Everything of this entry, for message types of one's own. */
export interface Tetherline<Own extends object, Sent extends object = object> {
  createClient: (options: Omit<ClientOptions, 'messages'>) => ClientOf<Own, Sent>;
  WebSocketInitializer: (props: WebSocketInitializerProps) => ReactNode;
  WebSocketContext: Context<ProvidedWebSocketContextValue<Own, Sent> | null>;
  useConnection: typeof useConnection;
  useStreamedMessage: typeof useStreamedMessage;
  useStreamedMessages: typeof useStreamedMessages;
  useStreams: typeof useStreams;
  useTetherlineClient: () => ClientOf<Own, Sent>;
  useWebSocketContext: () => WebSocketContextValue<Own, Sent>;
  useWebSocketHandlers: <Type extends string>(handlers: HandlersOf<Type, Own>) => void;
  useWebSocketProps: () => WebSocketProps<Own, Sent>;
  withWebSocket: WithWebSocket<Own, Sent>;
}

/**
 * The bindings, knowing an application's message types: `createTetherline<Received, Sent>()`, or with what
 * `defineMessages` of `tetherline/schema` makes, which also checks every message. The contexts are
 * the same as without it.
 */
export function createTetherline<Own extends object, Sent extends object = object>(
  messages?: Messages<Own>,
): Tetherline<Own, Sent> {
  const bindings: Omit<Tetherline<object>, 'createClient'> = {
    WebSocketInitializer: messages
      ? (props) => createElement(WebSocketInitializer, { messages, ...props } as typeof props)
      : WebSocketInitializer,
    WebSocketContext,
    useConnection,
    useStreamedMessage,
    useStreamedMessages,
    useStreams,
    useTetherlineClient,
    useWebSocketContext,
    useWebSocketHandlers,
    useWebSocketProps,
    withWebSocket,
  };
  return {
    // The same at run time; what they know of the messages is for the compiler.
    ...(bindings as unknown as Tetherline<Own, Sent>),
    createClient: (options) => createClient<Own, Sent>({ ...options, messages }),
  };
}
