import { expect, jest, test } from '@jest/globals';
import { act, render, screen } from '@testing-library/react';
import { useEffect, useState } from 'react';

import { useWebSocketContext, WebSocketInitializer } from '../../src/react';
import { createFakeServer } from '../../src/testing';

const FRAME_MS = 100;

function News() {
  const { isConnected, registerHandlers } = useWebSocketContext();
  const [titles, setTitles] = useState<string[]>([]);
  useEffect(
    () =>
      registerHandlers({
        news: ({ title }: { type: string; title?: unknown }) =>
          setTitles((known) => [...known, String(title)]),
      }),
    [registerHandlers],
  );
  return <p>{`${isConnected ? 'online' : 'offline'}: ${titles.join(', ')}`}</p>;
}

test('the fake server and its clock work under Jest, jsdom and fake timers', async () => {
  jest.useFakeTimers();
  const server = createFakeServer({ user: 'ann' });
  render(
    <WebSocketInitializer {...server.options} user="ann">
      <News />
    </WebSocketInitializer>,
  );
  await act(() => server.settled());
  act(() => void server.publish({ type: 'news', title: 'one' }));
  // Renders come with the next frame.
  await act(() => server.clock.advance(FRAME_MS));
  expect(screen.getByText('online: one')).toBeTruthy();

  act(() => server.cut());
  server.publish({ type: 'news', title: 'two' });
  await act(() => server.clock.advance(60_000));
  expect(screen.getByText('offline: one')).toBeTruthy();

  server.restore();
  await act(() => server.clock.until(() => server.open.length > 0));
  await act(() => server.clock.advance(FRAME_MS));
  expect(screen.getByText('online: one, two')).toBeTruthy();
});
