// Checked by `npm run typecheck`, never run: what a store knows of its state.
import {
  combineReducers,
  configureStore,
  createSlice,
  type PayloadAction,
  type Reducer,
} from '@reduxjs/toolkit';

import {
  acceptBatches,
  connectionSlice,
  inOneDraft,
  tetherlineMiddleware,
} from '../../src/redux/index.js';

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
