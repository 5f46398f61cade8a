import { createSlice, type Dispatch, type PayloadAction } from '@reduxjs/toolkit';

import type { Client, Snapshot } from '../index.js';

const initialState: Snapshot = {
  status: 'signed_out',
  isConnected: false,
  isCaughtUp: false,
  reconnectAttempts: 0,
  retryAt: null,
  waitReason: null,
  outboxLength: 0,
  error: null,
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

/** Dispatches every change of the connection from now on. Returns its own undoing. */
export function followConnection(client: Client, dispatch: Dispatch): () => void {
  return client.subscribe(() => void dispatch(connectionChanged(client.getSnapshot())));
}
