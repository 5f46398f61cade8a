import type { Dispatch } from '@reduxjs/toolkit';

import { connectionChanged, followConnection } from './connection.js';
import { type ActionCreators, type Knowing, toHandlers } from './handlers.js';

export { connectionChanged, connectionSlice } from './connection.js';
export { eachAction } from './each-action.js';
export { type ActionCreators, toHandlers } from './handlers.js';
export { tetherlineMiddleware, type TetherlineMiddlewareOptions } from './middleware.js';
export { acceptBatches, type AcceptingBatches, batched, inOneDraft } from './reducers.js';

/**
 * Ties a client to a store that has no `tetherlineMiddleware`: messages become actions, and
 * `connectionSlice` follows the connection. Returns its own undoing.
 */
export function connectStore<Types extends string = never, Own extends object = object>(
  client: Knowing<Own>,
  store: { dispatch: Dispatch },
  creators?: ActionCreators<Types, NoInfer<Own>>,
): () => void {
  store.dispatch(connectionChanged(client.getSnapshot()));
  const unsubscribe = followConnection(client, store.dispatch);
  const unregister = creators && client.on(toHandlers(store.dispatch, creators));
  return () => {
    unsubscribe();
    unregister?.();
  };
}
