export { useWebSocketProps, withWebSocket, type WebSocketProps } from 'tetherline/react';
