import {
  type Action,
  combineReducers,
  configureStore,
  createAction,
  createReducer,
} from '@reduxjs/toolkit';
import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider, useSelector } from 'react-redux';
import { createClient, type Message } from 'tetherline';
import { acceptBatches, tetherlineMiddleware } from 'tetherline/redux';

import { offer } from './offer.js';
import { quantile } from './statistics.js';
import { until } from './until.js';

export interface BurstFigure {
  readonly handled: number;
  /** Messages that came out of their order, twice, or not at all. */
  readonly misplaced: number;
  readonly frames: number;
  readonly frameMsMedian: number;
  readonly frameMsP99: number;
  /** What the browser calls a long task: more than 50 ms. */
  readonly longTasks: number;
  /** The longest wait for a timer of 1 ms: no task was longer. */
  readonly blockedMsMax: number;
}

export interface BurstPage {
  readonly connect: (url: string) => Promise<void>;
  /** Watches the page until so many messages more are in the list, and so many ms have gone by. */
  readonly watch: (messages: number, atLeastMs: number) => Promise<BurstFigure>;
}

const ROWS_MAX = 100;

interface Row {
  readonly id: string;
  readonly text: string;
}

interface Chat {
  rows: Row[];
  total: number;
  position: number;
  misplaced: number;
}

interface State {
  chat: Chat;
}

const initialState: Chat = { rows: [], total: 0, position: 0, misplaced: 0 };

const received = createAction<Row & { seq: number }>('received');

/** As Redux asks for it: what changes is made anew. */
function plainReducer(state = initialState, action: Action): Chat {
  if (!received.match(action)) {
    return state;
  }
  const { id, text, seq } = action.payload;
  return {
    rows: [...state.rows.slice(1 - ROWS_MAX), { id, text }],
    total: state.total + 1,
    position: seq,
    misplaced: state.misplaced + (seq === state.position + 1 ? 0 : 1),
  };
}

/** As Redux Toolkit advises: Immer makes it out of changes to a draft. */
const draftingReducer = createReducer(initialState, (builder) => {
  builder.addCase(received, (state, { payload: { id, text, seq } }) => {
    state.rows.push({ id, text });
    if (state.rows.length > ROWS_MAX) {
      state.rows.shift();
    }
    state.total += 1;
    state.misplaced += seq === state.position + 1 ? 0 : 1;
    state.position = seq;
  });
});

// `/burst?drafting` is the one with Immer.
const isDrafting = location.search === '?drafting';
const origin = location.origin.replace('http', 'ws');
const client = createClient({ url: origin, getToken: () => 'token' });

const store = configureStore({
  reducer: acceptBatches<State>(
    combineReducers({ chat: isDrafting ? draftingReducer : plainReducer }),
  ),
  middleware: (defaults) =>
    defaults().concat(
      tetherlineMiddleware({
        client,
        actions: {
          message_generate: (message: Message, meta) =>
            received({
              id: String(meta.id),
              text: String(message['message']),
              seq: meta.seq ?? 0,
            }),
        },
      }),
    ),
});

function List(): ReactNode {
  const rows = useSelector((state: State) => state.chat.rows);
  const total = useSelector((state: State) => state.chat.total);
  return (
    <>
      <h1>{total} messages</h1>
      <ul>
        {rows.map((row) => (
          <li key={row.id}>{row.text}</li>
        ))}
      </ul>
    </>
  );
}

offer({
  connect: async () => {
    const element = document.body.appendChild(document.createElement('div'));
    createRoot(element).render(
      <Provider store={store}>
        <List />
      </Provider>,
    );
    client.signIn('reader');
    await until(() => client.getSnapshot().isConnected, 'the connection');
  },
  watch: async (messages, atLeastMs) => {
    const before = store.getState().chat;
    const long: PerformanceEntry[] = [];
    const observer = new PerformanceObserver((list) => long.push(...list.getEntries()));
    observer.observe({ entryTypes: ['longtask'] });
    const frames = watchFrames();
    const timers = watchTimers();
    const started = performance.now();
    await until(
      () =>
        store.getState().chat.total - before.total >= messages &&
        performance.now() - started >= atLeastMs,
      `${messages} messages`,
    );
    const frameMs = frames();
    const blockedMs = timers();
    long.push(...observer.takeRecords());
    observer.disconnect();
    const after = store.getState().chat;
    return {
      handled: after.total - before.total,
      misplaced: after.misplaced - before.misplaced,
      frames: frameMs.length,
      frameMsMedian: quantile(frameMs, 0.5),
      frameMsP99: quantile(frameMs, 0.99),
      longTasks: long.length,
      blockedMsMax: Math.max(...blockedMs),
    };
  },
});

/** The time between every two frames, until the function that it returns is called. */
function watchFrames(): () => number[] {
  const times: number[] = [];
  let isOver = false;
  const next = (now: number) => {
    times.push(now);
    if (!isOver) {
      requestAnimationFrame(next);
    }
  };
  requestAnimationFrame(next);
  return () => {
    isOver = true;
    return differences(times);
  };
}

/** The same for a timer as short as there is: whatever ran in between was no longer. */
function watchTimers(): () => number[] {
  const times: number[] = [];
  const timer = setInterval(() => times.push(performance.now()), 1);
  return () => {
    clearInterval(timer);
    return differences(times);
  };
}

function differences(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? time));
}
