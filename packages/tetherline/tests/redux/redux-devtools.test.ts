// @vitest-environment jsdom
import type { EnhancedStore as TravellingStore } from '@redux-devtools/instrument';
import { configureStore, createAction, createReducer } from '@reduxjs/toolkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type Client, createClient } from '../../src/index.js';
import { acceptBatches, connectionSlice, tetherlineMiddleware } from '../../src/redux/index.js';
import { createFakeServer } from '../../src/testing/index.js';

// The browser's extension puts this into the page before any script, and instruments with this very package.
await vi.hoisted(async () => {
  const { compose } = await import('redux');
  const { instrument } = await import('@redux-devtools/instrument');
  Object.assign(window, {
    __REDUX_DEVTOOLS_EXTENSION_COMPOSE__:
      () =>
      (...enhancers: (<T>(next: T) => T)[]) =>
        compose(...enhancers, instrument()),
  });
});

let client: Client;

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  client.destroy();
  vi.useRealTimers();
});

const titled = createAction<unknown>('titled');

/** A store as applications make it, the connection lost and back again. */
async function given() {
  const server = createFakeServer({ user: 'ann' });
  client = createClient(server.options);
  const store = configureStore({
    reducer: acceptBatches({
      connection: connectionSlice.reducer,
      titles: createReducer([] as unknown[], (builder) =>
        builder.addCase(titled, (titles, { payload }) => void titles.push(payload)),
      ),
    }),
    middleware: (defaults) =>
      defaults().concat(
        tetherlineMiddleware({ client, actions: { news: ({ title }) => titled(title) } }),
      ),
  });
  client.signIn('ann');
  await server.settled();
  server.cut();
  await server.clock.until(() => !client.getSnapshot().isConnected);
  server.restore();
  await server.clock.until(() => client.getSnapshot().isConnected);
  const { liftedStore } = store as unknown as TravellingStore<
    ReturnType<typeof store.getState>,
    never,
    object
  >;
  const panel = {
    actions: () => {
      const { stagedActionIds, actionsById } = liftedStore.getState();
      return stagedActionIds.map((id) => actionsById[id]!.action as { type: string });
    },
    states: () => liftedStore.getState().computedStates.map(({ state }) => state),
    jumpTo: (index: number) =>
      (liftedStore.dispatch as (action: object) => void)({ type: 'JUMP_TO_STATE', index }),
  };
  return { server, store, panel };
}

it('lists every change of the connection, with what it was then', async () => {
  const { panel } = await given();
  expect(new Set(panel.actions().map(({ type }) => type))).toEqual(
    new Set(['@@INIT', 'tetherline/connection/connectionChanged']),
  );
  const statuses = panel.states().map(({ connection }) => connection.status);
  expect(statuses[0]).toBe('signed_out');
  expect(statuses).toContain('connecting');
  expect(statuses).toContain('waiting');
  expect(statuses.filter((status) => status === 'connected')).toHaveLength(2);
});

it('shows the past while somebody looks at it, and goes on recording what comes', async () => {
  const { server, store, panel } = await given();
  const lost = panel.states().findIndex(({ connection }) => connection.status === 'waiting');
  panel.jumpTo(lost);
  expect(store.getState().connection).toMatchObject({ status: 'waiting', isConnected: false });
  expect(client.getSnapshot().isConnected).toBe(true);
  server.publish({ type: 'news', title: 'Meanwhile' });
  await server.clock.advance(1_000);
  expect(store.getState().titles).toEqual([]);
  expect(panel.actions().at(-1)).toMatchObject({ type: 'titled' });
  expect(panel.states().at(-1)).toMatchObject({
    connection: { status: 'connected' },
    titles: ['Meanwhile'],
  });
  expect(server.connections).toHaveLength(2);
});
