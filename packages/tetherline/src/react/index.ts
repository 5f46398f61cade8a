'use client';

export {
  useWebSocketContext,
  useWebSocketProps,
  WebSocketContext,
  type WebSocketContextValue,
  type WebSocketProps,
} from './context.js';
export { WebSocketInitializer, type WebSocketInitializerProps } from './initializer.js';
export { useConnection, useTetherlineClient } from './use-connection.js';
export { withWebSocket } from './with-websocket.js';
