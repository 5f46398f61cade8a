import { renderToString } from 'react-dom/server';
import { expect, it, vi } from 'vitest';

import { useConnection, useWebSocketContext, WebSocketInitializer } from '../../src/react/index.js';

it('rendering on a server opens nothing, and shows that nothing is connected', () => {
  const compile = vi.spyOn(WebAssembly, 'Module');
  const getToken = vi.fn(() => 'token');
  const Socket = vi.fn();
  const Badge = () => {
    const status = useConnection((snapshot) => snapshot.status);
    return `${status} ${String(useWebSocketContext().isConnected)}`;
  };
  const html = renderToString(
    <WebSocketInitializer user="ann" getToken={getToken} WebSocket={Socket as never}>
      <Badge />
    </WebSocketInitializer>,
  );
  expect(html).toBe('signed_out false');
  expect(getToken).not.toHaveBeenCalled();
  expect(Socket).not.toHaveBeenCalled();
  expect(compile).not.toHaveBeenCalled();
});
