import { configureStore, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { expect, it } from 'vitest';

import { connectionSlice, connectStore, toHandlers } from '../../src/redux/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

const news = createSlice({
  name: 'news',
  initialState: [] as { title: string; replayed: boolean }[],
  reducers: {
    added: (state, action: PayloadAction<{ title: string; replayed: boolean }>) => {
      state.push(action.payload);
    },
  },
});

const makeStore = () =>
  configureStore({ reducer: { connection: connectionSlice.reducer, news: news.reducer } });

it('messages become actions, and the state follows the connection', async () => {
  const client = context.client();
  const store = makeStore();
  const disconnect = connectStore(client, store, {
    news: ({ title }, { replayed }) => news.actions.added({ title: String(title), replayed }),
    noise: () => null,
  });
  context.server.publish('ann', { type: 'news', title: 'old' });
  client.signIn('ann');
  await until(() => store.getState().connection.isConnected, 'the connection in the store');
  context.server.publish('ann', { type: 'noise' });
  context.server.publish('ann', { type: 'news', title: 'new' });
  await until(() => store.getState().news.length === 2, 'two news');
  expect(store.getState().news.map(({ title }) => title)).toEqual(['old', 'new']);
  disconnect();
  client.signOut();
  expect(store.getState().connection.isConnected).toBe(true);
});

it('the same handlers serve a component', () => {
  const store = makeStore();
  const handlers = toHandlers(store.dispatch, {
    news: ({ title }) => news.actions.added({ title: String(title), replayed: false }),
  });
  handlers.news?.({ type: 'news', title: 'Hi' }, { replayed: false });
  expect(store.getState().news).toEqual([{ title: 'Hi', replayed: false }]);
});
