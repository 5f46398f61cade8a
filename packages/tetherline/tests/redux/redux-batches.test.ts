// @vitest-environment jsdom
import {
  type Action,
  combineReducers,
  configureStore,
  createAction,
  createSlice,
  type Dispatch,
  isDraft,
  type Middleware,
  original,
  type PayloadAction,
  type Reducer,
} from '@reduxjs/toolkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  acceptBatches,
  batched,
  inOneDraft,
  tetherlineMiddleware,
  toHandlers,
} from '../../src/redux/index.js';
// Not for applications, which have no use for them.
import { BATCH_ACTIONS_MAX, BATCH_TASK_MS, BATCH_WAITING_MAX } from '../../src/redux/batch.js';

const FRAME_MS = 50;

const added = createAction<number>('added');
const cleared = createAction('cleared');

/** All numbers that were added. */
const numbers: Reducer<readonly number[]> = (state = [], action) => {
  if (added.match(action)) {
    return [...state, action.payload];
  }
  return cleared.match(action) ? [] : state;
};

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A store, and a way for messages with a number into it. */
function given(reducer = numbers, onBatch: (dispatch: Dispatch) => void = () => undefined) {
  const dispatched: string[] = [];
  /** How many actions each batch had. */
  const batches: number[] = [];
  const watching: Middleware = (api) => (next) => (action) => {
    dispatched.push((action as Action).type);
    const result = next(action);
    if (batched.match(action)) {
      batches.push(action.payload.length);
      onBatch(api.dispatch);
    }
    return result;
  };
  const store = configureStore({
    reducer: acceptBatches(reducer),
    middleware: (defaults) => defaults().concat(tetherlineMiddleware(), watching),
  });
  const handlers = toHandlers(store.dispatch, { news: ({ value }) => added(Number(value)) });
  const handled: unknown[] = [];
  const receive = (from: number, to = from) => {
    for (const value of range(from, to)) {
      handled.push(handlers.news?.({ type: 'news', value }, { replayed: false }));
    }
  };
  /** What became of the handlers of all that was received. */
  const outcomes = async () =>
    (await Promise.allSettled(handled)).map(({ status }) => status === 'fulfilled');
  return { store, dispatched, batches, receive, outcomes };
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

const frame = () => vi.advanceTimersByTimeAsync(FRAME_MS);

/** Has the clock run on by so much with each of these actions. */
function taking(ms: () => number): Reducer<readonly number[]> {
  let spentMs = 0;
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + spentMs);
  return (state, action) => {
    spentMs += added.match(action) ? ms() : 0;
    return numbers(state, action);
  };
}

describe('a frame', () => {
  it('is one dispatch, however many its messages are, up to what a dispatch takes', async () => {
    const { store, dispatched, receive } = given();
    receive(1, BATCH_ACTIONS_MAX);
    expect(store.getState()).toEqual([]);
    await frame();
    expect(store.getState()).toEqual(range(1, BATCH_ACTIONS_MAX));
    expect(dispatched).toEqual(['tetherline/batched']);
  });

  it('is two dispatches with one message more', async () => {
    const { store, dispatched, receive } = given();
    receive(1, BATCH_ACTIONS_MAX + 1);
    await frame();
    expect(store.getState()).toEqual(range(1, BATCH_ACTIONS_MAX + 1));
    expect(dispatched).toEqual(['tetherline/batched', 'tetherline/batched']);
  });
});

describe('what waits', () => {
  it('waits for the frame as long as there is room', () => {
    const { store, receive } = given();
    receive(1, BATCH_WAITING_MAX);
    expect(store.getState()).toEqual([]);
  });

  it('makes room for one more than may wait', () => {
    const { store, receive } = given();
    receive(1, BATCH_WAITING_MAX + 1);
    expect(store.getState()).toEqual(range(1, BATCH_ACTIONS_MAX));
  });

  it('goes before any other action, all of it', () => {
    const { store, receive } = given();
    receive(1, BATCH_ACTIONS_MAX + 1);
    store.dispatch(added(0));
    expect(store.getState()).toEqual([...range(1, BATCH_ACTIONS_MAX + 1), 0]);
  });

  it('goes before what a listener dispatches on seeing the first of it', async () => {
    // As one who signs out: what came before must not turn up afterwards.
    const { store, batches, receive } = given(numbers, (dispatch) => dispatch(cleared()));
    receive(1, BATCH_ACTIONS_MAX + 1);
    await frame();
    expect(store.getState()).toEqual([]);
    expect(batches).toEqual([BATCH_ACTIONS_MAX, 1]);
  });
});

describe('a reducer that takes long', () => {
  it('gives the page back once its time is over, and goes on later', async () => {
    const { store, receive } = given(taking(() => BATCH_TASK_MS));
    receive(1, BATCH_ACTIONS_MAX + 1);
    vi.advanceTimersToNextFrame();
    expect(store.getState()).toEqual(range(1, BATCH_ACTIONS_MAX));
    await frame();
    expect(store.getState()).toEqual(range(1, BATCH_ACTIONS_MAX + 1));
  });

  it('gets less at once, down to a few, and more again once it is quick', async () => {
    let ms = BATCH_TASK_MS;
    const { batches, receive } = given(taking(() => ms));
    for (let round = 0; round < 7; round++) {
      receive(1, BATCH_ACTIONS_MAX);
      vi.advanceTimersToNextFrame();
      await vi.runAllTimersAsync();
    }
    expect(batches.slice(0, 3)).toEqual([256, 128, 128]);
    expect(batches.at(-1)).toBe(16);
    ms = 0;
    batches.length = 0;
    for (let round = 0; round < 5; round++) {
      receive(1, BATCH_ACTIONS_MAX);
      await frame();
    }
    expect(batches.at(-1)).toBe(BATCH_ACTIONS_MAX);
  });

  it('has subscribers told when it is done, and not before', async () => {
    const { store, receive } = given(taking(() => 1));
    const told = vi.fn();
    store.subscribe(() => void told(store.getState().length));
    receive(1, BATCH_ACTIONS_MAX + 1);
    vi.advanceTimersToNextFrame();
    expect(told).not.toHaveBeenCalled();
    await frame();
    expect(told.mock.calls).toEqual([[BATCH_ACTIONS_MAX + 1]]);
  });

  it('does not keep a page waiting that nobody sees', async () => {
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    const { store, receive } = given(taking(() => BATCH_TASK_MS));
    receive(1, BATCH_ACTIONS_MAX + 1);
    await Promise.resolve();
    expect(store.getState()).toHaveLength(BATCH_ACTIONS_MAX + 1);
  });
});

describe('what goes wrong', () => {
  const poisoned: Reducer<readonly number[]> = (state, action) => {
    if (added.match(action) && action.payload === 2) {
      throw new Error('poison');
    }
    return numbers(state, action);
  };

  it('in a reducer fails the handler of that message, and no other', async () => {
    const { store, receive, outcomes } = given(poisoned);
    receive(1, 3);
    const handled = outcomes();
    await frame();
    expect(store.getState()).toEqual([1, 3]);
    expect(await handled).toEqual([true, false, true]);
  });

  // A message that no reducer could take kept the next action, a sign-out perhaps, from the store.
  it('in a reducer is nothing to the action that is dispatched next', async () => {
    const { store, receive, outcomes } = given(poisoned);
    receive(2);
    const handled = outcomes();
    store.dispatch(added(4));
    expect(store.getState()).toEqual([4]);
    expect(await handled).toEqual([false]);
  });

  it('in a subscriber has nothing reduced twice, and is not silent', async () => {
    const { store, receive, outcomes } = given();
    store.subscribe(() => {
      throw new Error('a broken subscriber');
    });
    receive(1, 2);
    await expect(frame()).rejects.toThrow('a broken subscriber');
    expect(store.getState()).toEqual([1, 2]);
    expect(await outcomes()).toEqual([true, true]);
  });
});

// It took the batch for itself, and the other reducers of the store never saw it.
it('batches that only a part of the store accepts reach all of it', async () => {
  const store = configureStore({
    reducer: { accepting: acceptBatches(numbers), other: numbers },
    middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
  });
  const { news } = toHandlers(store.dispatch, { news: ({ value }) => added(Number(value)) });
  void news?.({ type: 'news', value: 1 }, { replayed: false });
  void news?.({ type: 'news', value: 2 }, { replayed: false });
  await frame();
  expect(store.getState()).toEqual({ accepting: [1, 2], other: [1, 2] });
});

describe('in one draft', () => {
  const list = createSlice({
    name: 'list',
    initialState: { values: [] as number[] },
    reducers: {
      pushed: (state, { payload }: PayloadAction<number>) => void state.values.push(payload),
      without: (state, { payload }: PayloadAction<number>) => ({
        values: state.values.filter((value) => value !== payload),
      }),
      refused: () => {
        throw new Error('refused');
      },
    },
  });
  const { pushed, without, refused } = list.actions;

  /** What a store makes of these actions, when they come as the messages of one frame. */
  async function reduced<S>(reducer: Reducer<S>, actions: readonly Action[]): Promise<S> {
    const store = configureStore({
      reducer,
      middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
    });
    const { all } = toHandlers(store.dispatch, { all: () => actions });
    const handled = Promise.allSettled([all?.({ type: 'all' }, { replayed: false })]);
    await frame();
    await handled;
    return store.getState();
  }

  const mixed = [pushed(1), pushed(2), without(1), pushed(3), without(2), pushed(4)];

  it('a batch becomes what it becomes action by action', async () => {
    const state = await reduced(acceptBatches({ list: inOneDraft(list.reducer) }), mixed);
    expect(state).toEqual({ list: { values: [3, 4] } });
    expect(Object.isFrozen(state.list.values)).toBe(true);
  });

  it('all actions of a batch change the same one', async () => {
    const seen = new Set<unknown>();
    const watched: Reducer<{ values: number[] }> = (state, action) => {
      if (isDraft(state)) {
        seen.add(original(state));
      }
      return list.reducer(state, action);
    };
    await reduced(acceptBatches(inOneDraft(watched)), [pushed(1), pushed(2), pushed(3)]);
    expect(seen.size).toBe(1);
  });

  it('states that cannot be drafted, and none at all, are reduced as ever', async () => {
    const counter = (state: number | undefined) => (state ?? 0) + 1;
    const { count } = await reduced(acceptBatches({ count: inOneDraft(counter) }), [
      pushed(1),
      pushed(2),
    ]);
    // One of each action, and one to begin with.
    expect(count).toBeGreaterThanOrEqual(3);
    expect(inOneDraft(list.reducer)(undefined, pushed(1))).toEqual({ values: [1] });
  });

  it('an action that is refused takes no other with it', async () => {
    const state = await reduced(acceptBatches(inOneDraft(list.reducer)), [
      pushed(1),
      refused(),
      pushed(2),
    ]);
    expect(state).toEqual({ values: [1, 2] });
  });

  it('loses nothing where the store takes no batches', async () => {
    const reducer = combineReducers({ list: inOneDraft(list.reducer), other: list.reducer });
    const state = await reduced(reducer as Reducer<unknown>, [pushed(1), pushed(2)]);
    expect(state).toEqual({ list: { values: [1, 2] }, other: { values: [1, 2] } });
  });
});
