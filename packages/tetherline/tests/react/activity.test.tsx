// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import * as React from 'react';
import { type ReactNode, useState } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { useHold, useWebSocketHandlers, WebSocketInitializer } from '../../src/react/index.js';
import { createFakeServer } from '../../src/testing/index.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function Chat() {
  const [texts, setTexts] = useState<string[]>([]);
  useWebSocketHandlers({
    chat: ({ text }) => setTexts((before) => [...before, String(text)]),
  });
  return <p>{texts.join(' ')}</p>;
}

function Held({ children }: { children: ReactNode }) {
  useHold('chat');
  return children;
}

// What came while an <Activity> was hidden was acknowledged, and shown by nobody, ever.
it.skipIf(!('Activity' in React))(
  'a hidden Activity whose type is held misses nothing',
  async () => {
    const { Activity } = React;
    const server = createFakeServer();
    const page = (mode: 'visible' | 'hidden') => (
      <WebSocketInitializer {...server.options} user="user">
        <Held>
          <Activity mode={mode}>
            <Chat />
          </Activity>
        </Held>
      </WebSocketInitializer>
    );
    const { rerender } = render(page('visible'));
    await act(() => server.clock.advance(11_000));
    rerender(page('hidden'));
    server.publish({ type: 'chat', text: 'Are you' });
    server.publish({ type: 'chat', text: 'there?' });
    await act(() => server.clock.advance(11_000));
    rerender(page('visible'));
    await act(() => server.clock.advance(100));
    expect(screen.getByText('Are you there?')).toBeTruthy();
  },
);
