import { type Action, configureStore, createAction, createReducer } from '@reduxjs/toolkit';
import { type Client, type Message } from 'tetherline';
import { acceptBatches, inOneDraft, tetherlineMiddleware } from 'tetherline/redux';

export const ROWS_SHOWN = 100;

interface Row {
  readonly id: string;
  readonly text: string;
}

interface Chat {
  rows: Row[];
  total: number;
  position: number;
  misplaced: number;
}

export interface State {
  readonly chat: Chat;
}

const initialState: Chat = { rows: [], total: 0, position: 0, misplaced: 0 };

const received = createAction<Row & { seq: number }>('received');

/** As Redux asks for it: what changes is made anew. */
function plainReducer(state = initialState, action: Action): Chat {
  if (!received.match(action)) {
    return state;
  }
  const { id, text, seq } = action.payload;
  return {
    rows: [...state.rows.slice(1 - ROWS_SHOWN), { id, text }],
    total: state.total + 1,
    position: seq,
    misplaced: state.misplaced + (seq === state.position + 1 ? 0 : 1),
  };
}

/** As Redux Toolkit advises: Immer makes it out of changes to a draft. */
const draftingReducer = (rowsMax: number) =>
  createReducer(initialState, (builder) => {
    builder.addCase(received, (state, { payload: { id, text, seq } }) => {
      state.rows.push({ id, text });
      if (state.rows.length > rowsMax) {
        state.rows.shift();
      }
      state.total += 1;
      state.misplaced += seq === state.position + 1 ? 0 : 1;
      state.position = seq;
    });
  });

const REDUCERS = {
  plain: plainReducer,
  immer: draftingReducer(ROWS_SHOWN),
  'one-draft': inOneDraft(draftingReducer(Infinity)),
};

export type ReducerName = keyof typeof REDUCERS;

export function makeStore(client: Client, reducer: ReducerName) {
  return configureStore({
    reducer: acceptBatches({ chat: REDUCERS[reducer] }),
    middleware: (defaults) =>
      defaults().concat(
        tetherlineMiddleware({
          client,
          actions: {
            message_generate: (message: Message, meta) =>
              received({
                id: String(meta.id),
                text: String(message['message']),
                seq: meta.seq ?? 0,
              }),
          },
        }),
      ),
  });
}
