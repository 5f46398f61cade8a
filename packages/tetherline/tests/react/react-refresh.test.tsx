// @vitest-environment jsdom
import { runtime } from '../support/fast-refresh.js';

import { act, cleanup, render, screen } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, expect, it } from 'vitest';

import {
  useWebSocketContext,
  useWebSocketHandlers,
  WebSocketInitializer,
} from '../../src/react/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();
afterEach(cleanup);

const seen: string[] = [];

/** What a bundler makes of a module each time it is edited. */
function evaluate(text: string) {
  function App() {
    const { isConnected } = useWebSocketContext();
    const [count, setCount] = useState(0);
    useWebSocketHandlers({ news: () => seen.push(text) });
    return (
      <button onClick={() => setCount(count + 1)}>
        {`${text} ${isConnected ? 'up' : 'down'} ${count}`}
      </button>
    );
  }
  function Root() {
    return (
      <WebSocketInitializer {...context.options()} user="ann">
        <App />
      </WebSocketInitializer>
    );
  }
  for (const component of [App, Root]) {
    runtime.register(component, `App.tsx ${component.name}`);
    runtime.setSignature(component, `the hooks of ${component.name}`);
  }
  return Root;
}

it('fast refresh keeps state and connection, and calls the new handlers', async () => {
  const Root = evaluate('before');
  render(<Root />);
  await screen.findByText('before up 0');
  act(() => screen.getByRole('button').click());
  await screen.findByText('before up 1');
  evaluate('after');
  act(() => void runtime.performReactRefresh());
  await screen.findByText('after up 1');
  context.server.publish('ann', { type: 'news' });
  await until(() => seen.length > 0, 'the message');
  expect(seen).toEqual(['after']);
  expect(context.server.connections).toHaveLength(1);
});
