import type { Action, Dispatch, Middleware, UnknownAction } from '@reduxjs/toolkit';

import type { Client } from '../index.js';
import { Batch } from './batch.js';
import { connectionChanged, followConnection } from './connection.js';
import { type ActionCreators, type Knowing, queueWanted, toHandlers } from './handlers.js';
import { batched } from './reducers.js';

export interface TetherlineMiddlewareOptions<Types extends string, Own extends object = object> {
  /** Without one, the middleware only gathers what {@link toHandlers} dispatches. */
  client?: Knowing<Own>;
  /** Whom an action has signed in, if it has. */
  signedIn?: (action: UnknownAction) => string | null | undefined;
  /** Whether an action has signed out whoever was signed in. */
  signedOut?: (action: UnknownAction) => boolean;
  /** Which actions each message type becomes. */
  actions?: ActionCreators<Types, NoInfer<Own>>;
}

/**
 * Ties a client to a store: actions sign in and out, messages become actions, one dispatch for all
 * of a frame, and the connection's changes are actions too.
 *
 * It acts on actions that are dispatched, never on states: going back and forth in the history of
 * a store opens nothing and sends nothing.
 */
export function tetherlineMiddleware<Types extends string = never, Own extends object = object>({
  client,
  signedIn,
  signedOut,
  actions,
}: TetherlineMiddlewareOptions<Types, Own> = {}): Middleware {
  return (store) => {
    const { dispatch } = store;
    const batch = new Batch(store);
    if (client) {
      follow(client, dispatch);
      if (actions) {
        client.on(toHandlers(dispatch, actions));
      }
    }
    return (next) => (action) => {
      if (queueWanted.match(action)) {
        return batch.add;
      }
      // What came before goes first; nothing of a user is left for after their signing out.
      if (!batched.match(action)) {
        batch.flush();
      }
      const result = next(action);
      if (client && isAction(action)) {
        const user = signedIn?.(action);
        if (user) {
          client.signIn(user);
        } else if (signedOut?.(action)) {
          client.signOut();
        }
      }
      return result;
    };
  };
}

function follow(client: Client, dispatch: Dispatch): void {
  followConnection(client, dispatch);
  // The client may be older than the store, which cannot be dispatched to yet.
  if (client.getSnapshot().status !== 'signed_out') {
    queueMicrotask(() => void dispatch(connectionChanged(client.getSnapshot())));
  }
}

function isAction(action: unknown): action is UnknownAction {
  return typeof (action as Action | null)?.type === 'string';
}
