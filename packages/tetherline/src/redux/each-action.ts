import type { Dispatch, Middleware, UnknownAction } from '@reduxjs/toolkit';

import { batched, wasTaken } from './reducers.js';

/**
 * Shows a middleware the actions of messages one by one, where {@link acceptBatches} makes one dispatch of
 * them: `prepend(eachAction(listeners.middleware))`. The reducer still runs once for all of them, and
 * subscribers are told once: the first action has the state before it, and all of them have the state
 * after the last. By then they are reduced, so it cannot change them or hold them back.
 */
export function eachAction<State, D extends Dispatch>(
  middleware: Middleware<object, State, D>,
): Middleware<object, State, D> {
  return (api) => {
    /** The middleware sees an action that is reduced; `before` until it passes the first one on. */
    let showing: { before: { readonly state: State } | null } | null = null;
    const withApi = middleware({
      ...api,
      getState: () => (showing?.before ? showing.before.state : api.getState()),
    });
    return (next) => {
      const handle = withApi((action) => {
        if (showing) {
          showing.before = null;
          return action;
        }
        return next(action);
      });
      const within = <R>(shown: typeof showing, run: () => R): R => {
        const outer = showing;
        showing = shown;
        try {
          return run();
        } finally {
          showing = outer;
        }
      };
      // What is dispatched meanwhile, by a listener or a subscriber, is reduced as ever.
      return (action) =>
        within(null, () => {
          if (!batched.match(action)) {
            return handle(action);
          }
          let before: { readonly state: State } | null = { state: api.getState() };
          try {
            return next(action);
          } finally {
            if (wasTaken()) {
              for (const each of action.payload as readonly UnknownAction[]) {
                within({ before }, () => handle(each));
                before = null;
              }
            }
          }
        });
    };
  };
}
