// @vitest-environment jsdom
import { QueryClient, QueryClientProvider, useQuery, useQueryClient } from '@tanstack/react-query';
import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import {
  useTetherlineClient,
  useWebSocketHandlers,
  WebSocketInitializer,
} from '../../src/react/index.js';
import { createFakeServer } from '../../src/testing/index.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const fetchMessages = vi.fn(async (_conversation: string): Promise<History> => ({
  messages: [{ uuid: 'old', content: 'Old' }],
  as_of_seq: 1,
}));

// [recipe]
interface ChatMessage {
  uuid: string;
  content: string;
}

/** What the application's server answers: the mailbox's head was read before the rows. */
interface History {
  messages: ChatMessage[];
  as_of_seq: number;
}

function useMessages(conversation: string) {
  const client = useTetherlineClient();
  return useQuery({
    queryKey: ['messages', conversation],
    queryFn: async () => {
      const { messages, as_of_seq } = await fetchMessages(conversation);
      // Whatever came since is delivered, even if this page has already seen it go by.
      client.historyAsOf(as_of_seq);
      return messages;
    },
    // The connection brings what is new: nothing needs to be asked for again and again.
    staleTime: Infinity,
  });
}

/** Once, below both providers: every message goes into the cache. */
function ChatFeed() {
  const queries = useQueryClient();
  useWebSocketHandlers({
    chat_message: ({ conversation_uuid, message }) => {
      const key = ['messages', conversation_uuid];
      const added = message as ChatMessage;
      // Nothing is cached yet: the history that will be fetched has it.
      queries.setQueryData<ChatMessage[]>(
        key,
        (known) => known && [...known.filter(({ uuid }) => uuid !== added.uuid), added],
      );
    },
  });
  return null;
}

function Conversation({ uuid }: { uuid: string }) {
  const { data = [] } = useMessages(uuid);
  return <p>{data.map(({ content }) => content).join(', ')}</p>;
}
// [recipe]

it('messages go into the cache of TanStack Query, and nothing is fetched twice', async () => {
  const server = createFakeServer({ user: 'ann' });
  render(
    <QueryClientProvider client={new QueryClient()}>
      <WebSocketInitializer {...server.options} user="ann">
        <ChatFeed />
        <Conversation uuid="c" />
      </WebSocketInitializer>
    </QueryClientProvider>,
  );
  await act(() => server.clock.advance(100));
  expect(screen.getByText('Old')).toBeTruthy();
  const say = (uuid: string, content: string) =>
    server.publish({ type: 'chat_message', conversation_uuid: 'c', message: { uuid, content } });
  say('new', 'New');
  say('new', 'New, edited');
  await act(() => server.clock.advance(100));
  expect(screen.getByText('Old, New, edited')).toBeTruthy();
  expect(fetchMessages).toHaveBeenCalledTimes(1);
});
