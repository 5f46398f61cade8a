import { type Action, createAction, type Dispatch } from '@reduxjs/toolkit';

import type { Client, HandlerMap, MessageMeta, MessageOf } from '../index.js';

/** What a message becomes: an action, several, or none. */
type Actions = Action | readonly Action[] | null | undefined;

/** Which actions each message type becomes. */
export type ActionCreators<Types extends string, Own extends object = object> = {
  [Type in Types]: (message: MessageOf<Type, Own>, meta: MessageMeta) => Actions;
};

/** A client, which may know message types of its own. */
export type Knowing<Own extends object> = Client & { readonly types?: Own };

/** Takes actions for the next batch; the promise settles when the store has them. */
export type Queue = (actions: readonly Action[]) => Promise<void> | undefined;

/** The middleware answers it with its {@link Queue}; where there is none, it means nothing. */
export const queueWanted = createAction('tetherline/queueWanted');

/**
 * Handlers that dispatch, for `registerHandlers` or `client.on`: once per frame where the store has
 * `tetherlineMiddleware`, else at once. A message of whose actions one has `meta: { batch: false }` is
 * dispatched at once too, action by action, after what came before it.
 */
export function toHandlers<Types extends string, Own extends object = object>(
  dispatch: Dispatch,
  creators: ActionCreators<Types, Own>,
): HandlerMap {
  let queue: Queue | undefined;
  const handlers: HandlerMap = {};
  for (const type of Object.keys(creators) as Types[]) {
    handlers[type] = (message, meta) => {
      const made = creators[type](message as MessageOf<Types, Own>, meta);
      const actions = made ? [made].flat() : [];
      if (actions.some(isOnItsOwn)) {
        // What waits goes first: the middleware dispatches it before anything else.
        return atOnce(dispatch)(actions);
      }
      if (actions.length > 0) {
        queue ??= queueOf(dispatch);
        return queue(actions);
      }
      return undefined;
    };
  }
  return handlers;
}

function queueOf(dispatch: Dispatch): Queue {
  const answer: unknown = dispatch(queueWanted());
  return typeof answer === 'function' ? (answer as Queue) : atOnce(dispatch);
}

function atOnce(dispatch: Dispatch): Queue {
  return (actions) => {
    let failure: { error: unknown } | undefined;
    for (const action of actions) {
      try {
        dispatch(action);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) {
      throw failure.error;
    }
    return undefined;
  };
}

function isOnItsOwn({ meta }: Action & { meta?: unknown }): boolean {
  return (meta as { batch?: unknown } | null | undefined)?.batch === false;
}
