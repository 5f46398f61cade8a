// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { useEffect, useState } from 'react';
import { afterEach, expect, it, vi } from 'vitest';

import {
  useStreamedMessage,
  useWebSocketContext,
  WebSocketContext,
} from '../../src/react/index.js';
import { mockWebSocketContext } from '../../src/testing/index.js';

afterEach(cleanup);

function Counter() {
  const { isConnected, registerHandlers, requestPending, send, stop } = useWebSocketContext();
  const answer = useStreamedMessage('an-answer');
  const [count, setCount] = useState(0);
  useEffect(() => {
    requestPending();
    void send({ type: 'ask' });
    void stop({ message_uuid: 'an-answer' });
    return registerHandlers({ news: () => setCount((current) => current + 1) });
  }, [registerHandlers, requestPending, send, stop]);
  return <p>{`${isConnected ? 'up' : 'down'} ${count}${answer?.text ?? ''}`}</p>;
}

it('the mock stands in for the connection', () => {
  const mock = mockWebSocketContext({ isConnected: false });
  render(
    <WebSocketContext.Provider value={mock}>
      <Counter />
    </WebSocketContext.Provider>,
  );
  act(() => mock.deliver({ type: 'news' }));
  expect(screen.getByText('down 1')).toBeTruthy();
  expect(mock.sent).toEqual([{ type: 'ask' }]);
  expect(mock.stopped).toEqual([{ message_uuid: 'an-answer' }]);
  expect(mock.pendingRequests()).toBe(1);
  cleanup();
  mock.deliver({ type: 'news' });
});

it('the mock throws what a handler throws', () => {
  const mock = mockWebSocketContext();
  mock.registerHandlers({
    news: () => {
      throw new Error('boom');
    },
  });
  expect(() => mock.deliver({ type: 'news' })).toThrow('boom');
});

it('so does a literal of spies, as the quick start writes it', () => {
  const mockContext = {
    isConnected: true,
    reconnectAttempts: 0,
    send: vi.fn(),
    requestPending: vi.fn(),
    registerHandlers: vi.fn(() => vi.fn()),
    unregisterHandlers: vi.fn(),
  };
  render(
    <WebSocketContext.Provider value={mockContext}>
      <Counter />
    </WebSocketContext.Provider>,
  );
  expect(mockContext.registerHandlers).toHaveBeenCalled();
  // It was written before there was a `stop`.
  expect(mockContext.send).toHaveBeenLastCalledWith({
    type: 'message_stop',
    message_uuid: 'an-answer',
  });
});
