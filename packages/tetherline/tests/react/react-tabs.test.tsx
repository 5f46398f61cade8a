// @vitest-environment jsdom
import { cleanup, render } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, expect, it } from 'vitest';

import { WebSocketInitializer } from '../../src/react/index.js';
import { givenServer, isConnected } from '../support/setup.js';
import { givenTabs } from '../support/tabs.js';
import { until } from '../support/until.js';

givenTabs();
const context = givenServer();
afterEach(cleanup);

it('a provider that comes, doubly as in StrictMode, and goes, signs out no other tab', async () => {
  const other = await context.connected();
  const client = context.client();
  const { unmount } = render(
    <StrictMode>
      <WebSocketInitializer client={client} user="ann" />
    </StrictMode>,
  );
  await isConnected(client);
  unmount();
  await until(() => client.getSnapshot().status === 'signed_out', 'the provider to leave');
  await other.send({ type: 'ask' });
  expect(other.getSnapshot().status).toBe('connected');
  expect(context.server.connections).toHaveLength(1);
});

it('a provider whose user signs out signs out the other tabs', async () => {
  const [first, second] = [context.client(), context.client()];
  const tree = (user: string | null) => <WebSocketInitializer client={first} user={user} />;
  const { rerender } = render(tree('ann'));
  render(<WebSocketInitializer client={second} user="ann" />);
  for (const client of [first, second]) await isConnected(client);
  expect(context.server.connections).toHaveLength(1);
  rerender(tree(null));
  await until(() => second.getSnapshot().status === 'signed_out', 'the other to be signed out');
});
