import {
  type Action,
  combineReducers,
  createAction,
  createNextState,
  type Reducer,
  type ReducersMapObject,
  type StateFromReducersMapObject,
} from '@reduxjs/toolkit';

/** What became of the messages of one frame, in their order; two or more where reducing takes long. */
export const batched = createAction<readonly Action[]>('tetherline/batched');

/** What a reducer makes of many actions. */
type Fold<S> = (state: S | undefined, actions: readonly Action[]) => S;

interface Box<S> {
  state: S | undefined;
}

/** The folds of reducers that know a better way than one action after another. */
const folds = new WeakMap<object, unknown>();

/** A batch on its way into a store. */
export interface Offer {
  /** All that the store has: a reducer of a part of it would keep the batch from the others. */
  readonly state: unknown;
  isTaken: boolean;
}

let offered: Offer | null = null;

/** Dispatches a batch; then the offer says whether a reducer has taken it, even if something threw. */
export function offering(offer: Offer, dispatch: () => unknown): void {
  const outer = offered;
  offered = offer;
  try {
    dispatch();
  } finally {
    offered = outer;
  }
}

/** Whether the batch that was passed on just now has been reduced; if not, its actions come one by one. */
export function wasTaken(): boolean {
  return offered?.isTaken !== false;
}

/**
 * A reducer that takes batches: one dispatch, and one notification, for all messages of a frame.
 * Takes what `configureStore` takes, one reducer or several by name, and belongs around all of it;
 * around a part of it, it does nothing.
 *
 * **From then on no middleware sees the actions of messages**: it sees one `tetherline/batched` for all of
 * them, so `createListenerMiddleware` hears of none. Put {@link eachAction} around a middleware that has
 * to see them, or give an action `meta: { batch: false }` to have it dispatched by itself.
 */
export function acceptBatches<R extends Reducer | ReducersMapObject>(
  reducers: R,
): AcceptingBatches<R> {
  return accepting(reducers) as AcceptingBatches<R>;
}

/** One type and no overloads: `configureStore` would make `any` of the state of those. */
export type AcceptingBatches<R> = R extends ReducersMapObject
  ? Reducer<StateFromReducersMapObject<R>>
  : R;

/**
 * For a reducer of Redux Toolkit's, as `slice.reducer`, within {@link acceptBatches}: a batch changes one
 * draft, instead of one per action. A reducer that was written by hand only loses by it.
 */
export function inOneDraft<R extends Reducer>(reducer: R): R {
  const drafting: Reducer<unknown> = (state, action) => reducer(state, action);
  folds.set(drafting, drafted<unknown>(reducer));
  return drafting as R;
}

function accepting(reducers: Reducer | ReducersMapObject): Reducer<unknown> {
  const [reducer, fold] =
    typeof reducers === 'function'
      ? [reducers as Reducer<unknown>, foldOf<unknown>(reducers)]
      : combined(reducers);
  return (state: unknown, action) => {
    // Without an offer it is a store's history that is gone through again.
    if (!batched.match(action) || (offered && offered.state !== state)) {
      return reducer(state, action);
    }
    const next = fold(state, action.payload);
    if (offered) {
      offered.isTaken = true;
    }
    return next;
  };
}

function combined(reducers: ReducersMapObject): [Reducer<unknown>, Fold<unknown>] {
  // Each of them goes through the whole batch: none can see what the others make of it.
  const batchwise = combineReducers(
    Object.fromEntries(
      Object.entries<Reducer<unknown>>(reducers).map(([name, reducer]) => {
        const fold = foldOf(reducer);
        return [
          name,
          (state: unknown, action: Action) =>
            batched.match(action) ? fold(state, action.payload) : reducer(state, action),
        ];
      }),
    ),
  );
  return [
    combineReducers(reducers) as Reducer,
    (state, actions) => batchwise(state as Record<string, unknown>, batched(actions)),
  ];
}

function foldOf<S>(reducer: Reducer<S>): Fold<S> {
  const known = folds.get(reducer) as Fold<S> | undefined;
  const oneByOne: Fold<S> = (state, actions) =>
    actions.reduce<S | undefined>((before, action) => reducer(before, action), state) as S;
  return known ?? oneByOne;
}

function drafted<S>(reducer: Reducer<S>): Fold<S> {
  return (state, actions) => {
    // In a box: of a draft, Immer takes a change or something new in its place, but not both.
    let box: Box<S> = { state };
    let at = 0;
    const reduceOn = (draft: Box<S>) => {
      while (at < actions.length) {
        const before = draft.state;
        const after = reducer(before, actions[at++] as Action);
        if (after !== before) {
          draft.state = after;
          // What is new may hold drafts of what was; only finished it can be drafted again.
          return;
        }
      }
    };
    while (at < actions.length) {
      box = createNextState(box, reduceOn);
    }
    return box.state as S;
  };
}
