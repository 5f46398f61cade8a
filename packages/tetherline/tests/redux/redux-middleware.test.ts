// @vitest-environment jsdom
import { instrument, type EnhancedStore as TravellingStore } from '@redux-devtools/instrument';
import {
  configureStore,
  createListenerMiddleware,
  createSlice,
  type Middleware,
  type PayloadAction,
  type StoreEnhancer,
} from '@reduxjs/toolkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type Client, type ClientOptions, createClient } from '../../src/index.js';
import {
  acceptBatches,
  connectionSlice,
  eachAction,
  tetherlineMiddleware,
  toHandlers,
} from '../../src/redux/index.js';
import { createFakeServer } from '../../src/testing/index.js';

const FRAME_MS = 50;

const auth = createSlice({
  name: 'auth',
  initialState: null as string | null,
  reducers: {
    signedIn: (_state, action: PayloadAction<string>) => action.payload,
    signedOut: () => null,
  },
});

const news = createSlice({
  name: 'news',
  initialState: [] as unknown[],
  reducers: {
    added: (state, { payload }: PayloadAction<unknown>) => {
      if (payload === 'poison') {
        throw new Error('poison');
      }
      state.push(payload);
    },
  },
  extraReducers: (builder) => builder.addCase(auth.actions.signedOut, () => []),
});

const reducers = {
  auth: auth.reducer,
  connection: connectionSlice.reducer,
  news: news.reducer,
};

let clients: Client[] = [];

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  clients.forEach((client) => client.destroy());
  clients = [];
  vi.useRealTimers();
});

interface World {
  takesBatches?: boolean;
  travels?: boolean;
  onHandlerError?: ClientOptions['onHandlerError'];
}

function given({ takesBatches = true, travels = false, onHandlerError }: World = {}) {
  const server = createFakeServer({ user: 'ann' });
  const client = createClient({ ...server.options, onHandlerError });
  clients.push(client);
  const dispatched: string[] = [];
  const store = configureStore({
    reducer: takesBatches ? acceptBatches(reducers) : reducers,
    middleware: (defaults) =>
      defaults().concat(
        tetherlineMiddleware({
          client,
          signedIn: (action) => (auth.actions.signedIn.match(action) ? action.payload : null),
          signedOut: auth.actions.signedOut.match,
          actions: { news: ({ title }) => news.actions.added(title) },
        }),
        (() => (next) => (action) => {
          dispatched.push((action as { type: string }).type);
          return next(action);
        }) satisfies Middleware,
      ),
    enhancers: (defaults) =>
      travels ? defaults().concat(instrument() as StoreEnhancer) : defaults(),
  });
  return { server, client, store, dispatched };
}

async function signedIn(options?: World) {
  const world = given(options);
  world.store.dispatch(auth.actions.signedIn('ann'));
  await world.server.settled();
  expect(world.store.getState().connection.isConnected).toBe(true);
  world.dispatched.length = 0;
  return world;
}

const count = (length: number) => Array.from({ length }, (_, index) => index);

it('actions sign in and out, and the connection’s changes are actions', async () => {
  const { server, client, store, dispatched } = given();
  store.dispatch(auth.actions.signedIn('ann'));
  await server.settled();
  expect(client.getSnapshot().isConnected).toBe(true);
  store.dispatch(auth.actions.signedOut());
  expect(server.open).toEqual([]);
  expect(store.getState().connection.status).toBe('signed_out');
  expect(new Set(dispatched)).toEqual(
    new Set(['auth/signedIn', 'auth/signedOut', 'tetherline/connection/connectionChanged']),
  );
});

it('two hundred messages of one frame are one dispatch, in their order', async () => {
  const { server, store, dispatched } = await signedIn();
  const notified = vi.fn();
  store.subscribe(notified);
  count(200).forEach((title) => server.publish({ type: 'news', title }));
  expect(store.getState().news).toEqual([]);
  await server.clock.advance(FRAME_MS);
  expect(store.getState().news).toEqual(count(200));
  expect(dispatched).toEqual(['tetherline/batched']);
  expect(notified).toHaveBeenCalledTimes(1);
});

it('a hidden page waits for no frame', async () => {
  const { server, store } = await signedIn();
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
  server.publish({ type: 'news', title: 'unseen' });
  await server.settled();
  expect(store.getState().news).toEqual(['unseen']);
  vi.restoreAllMocks();
});

it('what a message becomes is reduced before any action that came after it', async () => {
  const { server, store, dispatched } = await signedIn();
  server.publish({ type: 'news', title: 'of ann' });
  store.dispatch(auth.actions.signedOut());
  await server.clock.advance(FRAME_MS);
  // Otherwise it would be there for whoever signs in next.
  expect(store.getState().news).toEqual([]);
  expect(dispatched.slice(0, 2)).toEqual(['tetherline/batched', 'auth/signedOut']);
});

it('a message is acknowledged when the store has it, not before', async () => {
  const { server } = await signedIn();
  vi.spyOn(globalThis, 'requestAnimationFrame').mockReturnValue(0);
  const acks = () => server.open[0]!.frames.filter(({ type }) => type === 'ack');
  count(70).forEach((title) => server.publish({ type: 'news', title }));
  await server.clock.advance(FRAME_MS);
  expect(acks()).toEqual([]);
  await server.clock.advance(1_000);
  expect(acks().at(-1)).toMatchObject({ seq: 70 });
  vi.restoreAllMocks();
});

it('a store whose reducer takes no batches loses nothing', async () => {
  const { server, store } = await signedIn({ takesBatches: false });
  count(3).forEach((title) => server.publish({ type: 'news', title }));
  await server.clock.advance(FRAME_MS);
  expect(store.getState().news).toEqual([0, 1, 2]);
});

it('a message on which a reducer throws takes no other with it, and is told as its handler’s', async () => {
  vi.spyOn(console, 'error').mockReturnValue();
  const failed = vi.fn();
  const { server, store } = await signedIn({ onHandlerError: failed });
  for (const title of ['a', 'poison', 'b']) {
    server.publish({ type: 'news', title });
  }
  await server.clock.advance(FRAME_MS);
  expect(store.getState().news).toEqual(['a', 'b']);
  expect(failed.mock.calls).toEqual([
    [new Error('poison'), expect.objectContaining({ title: 'poison' })],
  ]);
  vi.restoreAllMocks();
});

it('going back and forth in time opens nothing, sends nothing, and signs nobody out', async () => {
  const { server, client, store } = await signedIn({ travels: true });
  server.publish({ type: 'news', title: 'first' });
  await server.clock.advance(1_000);
  const sent = () => server.connections.map(({ frames }) => frames.length);
  const before = sent();
  const { liftedStore } = store as unknown as TravellingStore<unknown, never, object>;
  for (const type of ['JUMP_TO_STATE', 'ROLLBACK', 'RESET', 'COMMIT', 'TOGGLE_ACTION']) {
    (liftedStore.dispatch as (action: object) => void)({ type, index: 0, id: 1, timestamp: 0 });
    await server.clock.advance(1_000);
  }
  expect(sent()).toEqual(before);
  expect(client.getSnapshot().isConnected).toBe(true);
  // Even when the state of the past says that nobody is signed in.
  server.publish({ type: 'news', title: 'second' });
  await server.clock.advance(FRAME_MS);
  expect(server.open).toHaveLength(1);
});

it('one message may become several actions, or none, and components may bring their own', async () => {
  const { server, client, store, dispatched } = await signedIn();
  const remove = client.on(
    toHandlers(store.dispatch, {
      pair: ({ a, b }) => [news.actions.added(a), news.actions.added(b)],
      noise: () => null,
    }),
  );
  server.publish({ type: 'noise' });
  server.publish({ type: 'pair', a: 1, b: 2 });
  server.publish({ type: 'news', title: 3 });
  await server.clock.advance(FRAME_MS);
  expect(store.getState().news).toEqual([1, 2, 3]);
  expect(dispatched).toEqual(['tetherline/batched']);
  remove();
});

it('without a client the middleware only gathers, for handlers of components', async () => {
  const store = configureStore({
    reducer: acceptBatches(news.reducer),
    middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
  });
  const handlers = toHandlers(store.dispatch, { news: ({ title }) => news.actions.added(title) });
  void handlers.news?.({ type: 'news', title: 1 }, { replayed: false });
  expect(store.getState()).toEqual([]);
  await vi.advanceTimersByTimeAsync(FRAME_MS);
  expect(store.getState()).toEqual([1]);
});

/** A store with a listener of Redux Toolkit's own, before everything else. */
async function listening(wrap: (middleware: Middleware) => Middleware) {
  const server = createFakeServer({ user: 'ann' });
  const client = createClient(server.options);
  clients.push(client);
  const heard: unknown[] = [];
  const { middleware, startListening } = createListenerMiddleware();
  const store = configureStore({
    reducer: acceptBatches(reducers),
    middleware: (defaults) =>
      defaults()
        .prepend(wrap(middleware as Middleware))
        .concat(
          tetherlineMiddleware({
            client,
            actions: {
              news: ({ title }) => news.actions.added(title),
              urgent: ({ title }) => ({ ...news.actions.added(title), meta: { batch: false } }),
            },
          }),
        ),
  });
  const lengths: [number, number][] = [];
  startListening({
    predicate: (action, after, before) => {
      const of = (state: unknown) => (state as { news: unknown[] }).news.length;
      if (news.actions.added.match(action)) {
        lengths.push([of(before), of(after)]);
      }
      return news.actions.added.match(action);
    },
    effect: (action, { dispatch }) => {
      heard.push((action as PayloadAction<unknown>).payload);
      if (heard.length === 1) {
        dispatch(news.actions.added('answer'));
      }
    },
  });
  client.signIn('ann');
  await server.settled();
  return { server, store, heard, lengths };
}

// An RTK listener heard none of three messages once `acceptBatches` was used.
it('a listener behind eachAction hears every action, while the store changes once', async () => {
  const { server, store, heard, lengths } = await listening(eachAction);
  const notified = vi.fn();
  store.subscribe(notified);
  [1, 2, 3].forEach((title) => server.publish({ type: 'news', title }));
  await server.clock.advance(FRAME_MS);
  // What a listener dispatches meanwhile is reduced, and heard, as ever.
  expect(heard).toEqual([1, 'answer', 2, 3]);
  expect(store.getState().news).toEqual([1, 2, 3, 'answer']);
  expect(lengths[0]).toEqual([0, 3]);
  expect(notified).toHaveBeenCalledTimes(2);
});

it('a listener behind eachAction hears every action once where nobody takes batches', async () => {
  const warn = vi.spyOn(console, 'warn').mockReturnValue();
  const heard: unknown[] = [];
  const { middleware, startListening } = createListenerMiddleware();
  startListening({
    actionCreator: news.actions.added,
    effect: ({ payload }) => void heard.push(payload),
  });
  const store = configureStore({
    reducer: reducers,
    middleware: (defaults) =>
      defaults()
        .prepend(eachAction(middleware as Middleware))
        .concat(tetherlineMiddleware()),
  });
  const handlers = toHandlers(store.dispatch, {
    news: ({ title }) => news.actions.added(title),
  });
  [1, 2].forEach((title) => handlers.news?.({ type: 'news', title }, { replayed: false }));
  await vi.advanceTimersByTimeAsync(FRAME_MS);
  expect(heard).toEqual([1, 2]);
  // Nobody heard that batching, which was asked for, was not there.
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('acceptBatches'));
  warn.mockRestore();
});

// There was no way for a single kind of action to stay out of the batches.
it('an action may opt out of batches, and keeps its place', async () => {
  const { server, store, heard } = await listening((middleware) => middleware);
  server.publish({ type: 'news', title: 'first' });
  server.publish({ type: 'urgent', title: 'second' });
  expect(heard).toEqual(['second', 'answer']);
  expect(store.getState().news).toEqual(['first', 'second', 'answer']);
  await server.settled();
});

// What stood behind one that threw was not dispatched, and its message counted as handled.
it('an action out of the batches that fails keeps no other of its message from the store', () => {
  const seen: unknown[] = [];
  const store = configureStore({
    reducer: (state: object = {}, { type }) => {
      seen.push(type);
      if (type === 'bad') {
        throw new Error('no');
      }
      return state;
    },
  });
  const handlers = toHandlers(store.dispatch, {
    news: () => [{ type: 'bad', meta: { batch: false } }, { type: 'good' }],
  });
  expect(() => handlers.news?.({ type: 'news' }, { replayed: false })).toThrow('no');
  expect(seen.at(-1)).toBe('good');
});
