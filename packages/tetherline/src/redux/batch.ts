import {
  type Action,
  combineReducers,
  createAction,
  type Dispatch,
  type Reducer,
  type ReducersMapObject,
  type StateFromReducersMapObject,
} from '@reduxjs/toolkit';

/** How many actions are dispatched at once at most; more make up another batch, without waiting. */
export const BATCH_ACTIONS_MAX = 256;

/** How long actions wait for a frame that does not come, in ms. */
export const BATCH_WAIT_MS = 100;

/** Everything that became of the messages of one frame, in their order. */
export const batched = createAction<readonly Action[]>('tetherline/batched');

/** How many batches a reducer has taken. Only its standing still means anything. */
let reduced = 0;

/**
 * A reducer that takes batches: one dispatch, and one notification, for all messages of a frame.
 * Takes what `configureStore` takes: one reducer, or several by name.
 */
export function acceptBatches<S>(reducer: Reducer<S>): Reducer<S>;
export function acceptBatches<M extends ReducersMapObject>(
  reducers: M,
): Reducer<StateFromReducersMapObject<M>>;
export function acceptBatches(reducers: Reducer | ReducersMapObject): Reducer {
  const reducer = (
    typeof reducers === 'function' ? reducers : combineReducers(reducers)
  ) as Reducer<unknown>;
  return (state, action) => {
    if (!batched.match(action)) {
      return reducer(state, action);
    }
    const next = action.payload.reduce<unknown>(reducer, state);
    reduced += 1;
    return next;
  };
}

/** Gathers actions until the next frame; a page that nobody sees has none, and does not wait. */
export class Batch {
  readonly #dispatch: Dispatch;
  #actions: Action[] = [];
  #flushed = Promise.resolve();
  /** Settles what `add` returned; null while nothing waits. */
  #settle: (() => void) | null = null;
  #cancel: () => void = () => undefined;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
  }

  /** The promise is for the handler: its message is handled when the store has it. */
  readonly add = (actions: readonly Action[]): Promise<void> => {
    this.#actions.push(...actions);
    if (!this.#settle) {
      this.#flushed = new Promise((resolve) => (this.#settle = resolve));
      this.#cancel = soon(this.flush);
    }
    const flushed = this.#flushed;
    if (this.#actions.length >= BATCH_ACTIONS_MAX) {
      this.flush();
    }
    return flushed;
  };

  readonly flush = (): void => {
    const actions = this.#actions;
    const settle = this.#settle;
    if (!settle) {
      return;
    }
    this.#actions = [];
    this.#settle = null;
    this.#cancel();
    try {
      dispatchAll(this.#dispatch, actions);
    } finally {
      settle();
    }
  };
}

function dispatchAll(dispatch: Dispatch, actions: readonly Action[]): void {
  const before = reduced;
  try {
    dispatch(batched(actions));
  } finally {
    // No reducer here takes batches, or one of them threw: no message must be lost for it.
    if (reduced === before) {
      oneByOne(dispatch, actions);
    }
  }
}

function oneByOne(dispatch: Dispatch, actions: readonly Action[]): void {
  for (const [index, action] of actions.entries()) {
    try {
      dispatch(action);
    } catch (error) {
      oneByOne(dispatch, actions.slice(index + 1));
      throw error;
    }
  }
}

function soon(flush: () => void): () => void {
  if (typeof requestAnimationFrame !== 'function' || document.visibilityState === 'hidden') {
    queueMicrotask(flush);
    return () => undefined;
  }
  const frame = requestAnimationFrame(flush);
  // The page may be hidden before its next frame.
  const timer = setTimeout(flush, BATCH_WAIT_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
