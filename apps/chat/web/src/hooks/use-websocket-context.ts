export { useWebSocketContext } from 'tetherline/react';
