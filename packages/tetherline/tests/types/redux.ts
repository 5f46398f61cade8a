// Checked by `npm run typecheck`, never run: what a store knows of its state.
import {
  combineReducers,
  configureStore,
  createSlice,
  type PayloadAction,
  type Reducer,
} from '@reduxjs/toolkit';

import { z } from 'zod';

import { createClient, type MessageOf } from '../../src/index.js';
import {
  acceptBatches,
  connectionSlice,
  connectStore,
  inOneDraft,
  tetherlineMiddleware,
  toHandlers,
} from '../../src/redux/index.js';
import { defineMessages, type MessagesOf } from '../../src/schema/index.js';

const list = createSlice({
  name: 'list',
  initialState: [] as number[],
  reducers: { added: (state, action: PayloadAction<number>) => void state.push(action.payload) },
});

type IsTyped<T> = 0 extends 1 & T ? false : true;

// The state of a store with middleware was `any`, and every selector of the application with it.
export const byName = configureStore({
  reducer: acceptBatches({
    connection: connectionSlice.reducer,
    list: list.reducer,
    drafted: inOneDraft(list.reducer),
  }),
  middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
});
type ByName = ReturnType<typeof byName.getState>;
export const typedByName: [
  IsTyped<ByName>,
  IsTyped<ByName['connection']>,
  IsTyped<ByName['list']>,
  IsTyped<ByName['drafted']>,
] = [true, true, true, true];

const combined = combineReducers({ list: list.reducer });
export const asOne = configureStore({
  reducer: acceptBatches(combined),
  middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
});
export const typedAsOne: IsTyped<ReturnType<typeof asOne.getState>['list']> = true;

declare const byHand: Reducer<readonly number[]>;
export const handed = configureStore({
  reducer: acceptBatches(byHand),
  middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
});
export const typedByHand: IsTyped<ReturnType<typeof handed.getState>> = true;
// @ts-expect-error a reducer is a function
acceptBatches({ list: list });

// Of what comes out of a schema, Redux knew nothing.
const schemas = defineMessages({ order_paid: z.object({ total: z.number() }) });
const client = createClient({ messages: schemas, getToken: () => null });
export const added = tetherlineMiddleware({
  client,
  actions: {
    order_paid: (message) => list.actions.added(message.total),
    // @ts-expect-error whoever is not described has unknown fields
    order_lost: (message) => list.actions.added(message.total),
  },
});
tetherlineMiddleware({
  client,
  actions: {
    order_paid: (message) => {
      // @ts-expect-error no schema names this field
      const payload: unknown = message.sum;
      return { type: 'added', payload } as const;
    },
  },
});
connectStore(client, asOne, {
  order_paid: (message) => {
    const literal: 'order_paid' = message.type;
    return { type: literal, payload: message.total };
  },
});
type Schemas = MessagesOf<typeof schemas>;
toHandlers<'order_paid', Schemas>(asOne.dispatch, {
  order_paid: (message) => list.actions.added(message.total),
});

// Described for everybody: one line, and every handler knows what comes out of the schemas.
interface Described extends MessagesOf<typeof schemas> {}
export const described = (message: MessageOf<'order_paid', Described>): number => message.total;
