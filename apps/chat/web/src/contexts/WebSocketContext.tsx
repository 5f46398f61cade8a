export { WebSocketContext, type WebSocketContextValue } from 'tetherline/react';
