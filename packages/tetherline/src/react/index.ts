'use client';

export {
  ConnectionStatus,
  type ConnectionStatusProps,
  type ConnectionTexts,
} from './connection-status.js';
export {
  type ProvidedWebSocketContextValue,
  useWebSocketContext,
  useWebSocketProps,
  WebSocketContext,
  type WebSocketContextValue,
  type WebSocketProps,
} from './context.js';
export { createTetherline, type Tetherline } from './create-tetherline.js';
export { WebSocketInitializer, type WebSocketInitializerProps } from './initializer.js';
export { type Toast, type ToastCallbacks, type ToastTexts, toToasts } from './toasts.js';
export { useHold } from './use-hold.js';
export { useConnection, useTetherlineClient } from './use-connection.js';
export { useStreamedMessage, useStreamedMessages, useStreams } from './use-streamed-message.js';
export { useWebSocketHandlers } from './use-handlers.js';
export { withWebSocket, type WithWebSocket } from './with-websocket.js';
