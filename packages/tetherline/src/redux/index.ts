import { type Action, createSlice, type Dispatch, type PayloadAction } from '@reduxjs/toolkit';

import type { Client, HandlerMap, MessageMeta, MessageOf, Snapshot } from '../index.js';

/** Which action each message type becomes; `null` for none. */
export type ActionCreators<Types extends string> = {
  [Type in Types]: (message: MessageOf<Type>, meta: MessageMeta) => Action | null | undefined;
};

const initialState: Snapshot = {
  status: 'signed_out',
  isConnected: false,
  reconnectAttempts: 0,
  retryAt: null,
  outboxLength: 0,
};

/** The connection's snapshot as state: `reducer: { connection: connectionSlice.reducer }`. */
export const connectionSlice = createSlice({
  name: 'tetherline/connection',
  initialState,
  reducers: {
    connectionChanged: (_state, action: PayloadAction<Snapshot>) => action.payload,
  },
});

export const { connectionChanged } = connectionSlice.actions;

/** Handlers that dispatch, for `registerHandlers` or `client.on`. */
export function toHandlers<Types extends string>(
  dispatch: Dispatch,
  creators: ActionCreators<Types>,
): HandlerMap {
  const handlers: HandlerMap = {};
  for (const type of Object.keys(creators) as Types[]) {
    handlers[type] = (message, meta) => {
      const action = creators[type](message as MessageOf<Types>, meta);
      if (action) {
        dispatch(action);
      }
    };
  }
  return handlers;
}

/**
 * Ties a client to a store: messages become actions, and {@link connectionSlice} follows the
 * connection. Returns its own undoing.
 */
export function connectStore<Types extends string = never>(
  client: Client,
  store: { dispatch: Dispatch },
  creators?: ActionCreators<Types>,
): () => void {
  const follow = () => void store.dispatch(connectionChanged(client.getSnapshot()));
  follow();
  const unsubscribe = client.subscribe(follow);
  const unregister = creators && client.on(toHandlers(store.dispatch, creators));
  return () => {
    unsubscribe();
    unregister?.();
  };
}
