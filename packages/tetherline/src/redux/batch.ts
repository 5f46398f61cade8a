import { type Action, type Dispatch, type MiddlewareAPI, SHOULD_AUTOBATCH } from '@reduxjs/toolkit';

import { beforeNextFrame, hasFrames } from '../core/page/frame.js';
import { isDevelopment } from '../core/page/log.js';
import { batched, offering } from './reducers.js';

/** How many actions are dispatched at once at most, unless one message becomes more. */
export const BATCH_ACTIONS_MAX = 256;

/** How many actions wait at most; before one more does, the oldest are dispatched. */
export const BATCH_WAITING_MAX = 512;

/** How long a task goes on dispatching, in ms; what is left goes on after the page's other tasks. */
export const BATCH_TASK_MS = 8;

/** Fewer would not be worth a dispatch, and what renders for it, however long they take. */
const SLICE_ACTIONS_MIN = 16;

/** A store of Redux Toolkit's tells its subscribers only after the last, or with the next frame. */
const MORE_FOLLOWS = { meta: { [SHOULD_AUTOBATCH]: true } };

/** What one message has become. It stays together. */
interface Waiting {
  readonly actions: readonly Action[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What is dispatched together. */
interface Slice {
  readonly messages: Waiting[];
  length: number;
}

/** Gathers actions until the next frame; a page that nobody sees has none, and does not wait. */
export class Batch {
  readonly #store: MiddlewareAPI<Dispatch, unknown>;
  #slices: Slice[] = [];
  #waiting = 0;
  /** How many actions a slice takes: fewer as long as they take long. */
  #sliceActions = BATCH_ACTIONS_MAX;
  #cancel: (() => void) | null = null;
  /** Batches are taken here, or it was said that they are not. */
  #isTold = false;

  constructor(store: MiddlewareAPI<Dispatch, unknown>) {
    this.#store = store;
  }

  /** The promise is for the handler: its message is handled when the store has it. */
  readonly add = (actions: readonly Action[]): Promise<void> => {
    const handled = new Promise<void>((resolve, reject) => {
      const slice = this.#open();
      slice.messages.push({ actions, resolve, reject });
      slice.length += actions.length;
    });
    this.#waiting += actions.length;
    while (this.#waiting > BATCH_WAITING_MAX) {
      this.#dispatchOldest();
    }
    this.#schedule(soon);
    return handled;
  };

  /** Dispatches everything now. */
  readonly flush = (): void => {
    while (this.#slices.length > 0) {
      this.#dispatchOldest();
    }
    this.#cancel?.();
    this.#cancel = null;
  };

  readonly #run = (): void => {
    this.#cancel = null;
    const until = performance.now() + BATCH_TASK_MS;
    let tookMs: number;
    do {
      tookMs = this.#dispatchOldest();
      // As if the next one took as long as this one.
    } while (this.#slices.length > 0 && (!hasFrames() || performance.now() + tookMs < until));
    this.#schedule(afterOtherTasks);
  };

  #schedule(when: (run: () => void) => () => void): void {
    if (this.#slices.length > 0) {
      this.#cancel ??= when(this.#run);
    }
  }

  #open(): Slice {
    const last = this.#slices.at(-1);
    if (last && last.length < this.#sliceActions) {
      return last;
    }
    const slice = { messages: [], length: 0 };
    this.#slices.push(slice);
    return slice;
  }

  /** Answers how long it took, in ms. */
  #dispatchOldest(): number {
    const slice = this.#slices.shift();
    const started = performance.now();
    if (slice) {
      this.#waiting -= slice.length;
      this.#dispatchTogether(slice.messages);
    }
    const tookMs = performance.now() - started;
    this.#learn(tookMs);
    return tookMs;
  }

  /** A slice that leaves nothing of its task to others was too long. */
  #learn(tookMs: number): void {
    if (tookMs > BATCH_TASK_MS) {
      this.#sliceActions = Math.max(this.#sliceActions / 2, SLICE_ACTIONS_MIN);
    } else if (tookMs < BATCH_TASK_MS / 2) {
      this.#sliceActions = Math.min(this.#sliceActions * 2, BATCH_ACTIONS_MAX);
    }
  }

  #dispatchTogether(messages: readonly Waiting[]): void {
    const batch = batched(messages.flatMap(({ actions }) => actions));
    const offer = { state: this.#store.getState(), isTaken: false };
    const failure = attempt(() =>
      offering(offer, () =>
        this.#store.dispatch(this.#slices.length > 0 ? { ...batch, ...MORE_FOLLOWS } : batch),
      ),
    );
    if (offer.isTaken) {
      this.#isTold = true;
      messages.forEach(({ resolve }) => resolve());
      tellApart(failure);
    } else if (!this.#dispatchEach([...messages, ...this.#takeRest()])) {
      if (!failure) {
        this.#warnOnce();
      }
      tellApart(failure);
    }
  }

  /**
   * No reducer here takes batches, or one of them threw: no message must be lost for it. Answers
   * whether any has failed.
   */
  #dispatchEach(messages: readonly Waiting[]): boolean {
    let hasFailed = false;
    for (const { actions, resolve, reject } of messages) {
      const failures = actions.map((action) => attempt(() => this.#store.dispatch(action)));
      const failure = failures.find((each) => each !== null);
      if (failure) {
        hasFailed = true;
        reject(failure.error);
      } else {
        resolve();
      }
    }
    return hasFailed;
  }

  #warnOnce(): void {
    if (!this.#isTold && isDevelopment()) {
      this.#isTold = true;
      console.warn(
        'Tetherline: no reducer of this store takes batches, so the actions of messages are dispatched one by one. ' +
          'Put `acceptBatches` around all of the reducer.',
      );
    }
  }

  /** What waits may not go before what is dispatched, as it does before anything else. */
  #takeRest(): Waiting[] {
    this.#waiting = 0;
    return this.#slices.splice(0).flatMap(({ messages }) => messages);
  }
}

interface Failure {
  readonly error: unknown;
}

function attempt(run: () => unknown): Failure | null {
  try {
    run();
    return null;
  } catch (error) {
    return { error };
  }
}

/** A subscriber's error is nothing to whoever dispatches next; it is uncaught all the same. */
function tellApart(failure: Failure | null): void {
  if (failure) {
    setTimeout(() => {
      throw failure.error;
    });
  }
}

/** Before the next frame; a page that has none does not wait for one. */
function soon(run: () => void): () => void {
  if (hasFrames()) {
    return beforeNextFrame(run);
  }
  let isCancelled = false;
  queueMicrotask(() => {
    if (!isCancelled) {
      run();
    }
  });
  return () => {
    isCancelled = true;
  };
}

function afterOtherTasks(run: () => void): () => void {
  const timer = setTimeout(run);
  return () => clearTimeout(timer);
}
