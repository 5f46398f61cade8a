import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider, useSelector } from 'react-redux';
import { createClient } from 'tetherline';

import { makeStore, type ReducerName, ROWS_SHOWN, type State } from './burst-store.js';
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

/** What the page reports when it is done: the same page with nothing to do, and under the burst. */
export type BurstReport =
  { readonly idle: BurstFigure; readonly busy: BurstFigure } | { readonly error: string };

/** `/burst?REDUCER&MESSAGES&IDLE_MS`. */
const [reducer = 'plain', messages = 0, idleMs = 0] = location.search.slice(1).split('&');
const client = createClient({
  url: location.origin.replace('http', 'ws'),
  getToken: () => 'token',
});
const store = makeStore(client, reducer as ReducerName);

function List(): ReactNode {
  const rows = useSelector((state: State) => state.chat.rows);
  const total = useSelector((state: State) => state.chat.total);
  return (
    <>
      <h1>{total} messages</h1>
      <ul>
        {rows.slice(-ROWS_SHOWN).map((row) => (
          <li key={row.id}>{row.text}</li>
        ))}
      </ul>
    </>
  );
}

async function measure(): Promise<BurstReport> {
  const element = document.body.appendChild(document.createElement('div'));
  createRoot(element).render(
    <Provider store={store}>
      <List />
    </Provider>,
  );
  client.signIn('reader');
  await until(() => client.getSnapshot().isConnected, 'the connection');
  const idle = await watch(0, Number(idleMs));
  const busy = watch(Number(messages), 0);
  await fetch('/publish', { method: 'POST' });
  return { idle, busy: await busy };
}

/** Watches the page until so many messages more are in the list, and so many ms have gone by. */
async function watch(messages: number, atLeastMs: number): Promise<BurstFigure> {
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
}

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

const report = await measure().catch((error: unknown): BurstReport => ({ error: String(error) }));
await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
