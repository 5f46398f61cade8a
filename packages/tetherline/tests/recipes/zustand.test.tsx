// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { create } from 'zustand';

import { useWebSocketHandlers, WebSocketInitializer } from '../../src/react/index.js';
import { createFakeServer } from '../../src/testing/index.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

// [recipe]
interface News {
  byId: Record<string, string>;
  /** Under its id, so that what comes again changes nothing. */
  put: (id: string, title: string) => void;
}

const useNews = create<News>()((set) => ({
  byId: {},
  put: (id, title) => set(({ byId }) => ({ byId: { ...byId, [id]: title } })),
}));

/** Once, below `WebSocketInitializer`: every message goes into the store. */
function NewsFeed() {
  const put = useNews((news) => news.put);
  useWebSocketHandlers({
    notification_new: ({ title }, { id }) => put(String(id), title),
  });
  return null;
}

/** Anywhere: renders again when the number changes, and not for every message. */
function Unread() {
  const count = useNews(({ byId }) => Object.keys(byId).length);
  return <p>{count} unread</p>;
}
// [recipe]

it('messages go into a Zustand store', async () => {
  const server = createFakeServer({ user: 'ann' });
  render(
    <WebSocketInitializer {...server.options} user="ann">
      <NewsFeed />
      <Unread />
    </WebSocketInitializer>,
  );
  await act(() => server.clock.advance(100));
  server.publish({ type: 'notification_new', title: 'One' });
  server.publish({ type: 'notification_new', title: 'Two' });
  await act(() => server.clock.advance(100));
  expect(screen.getByText('2 unread')).toBeTruthy();
});
