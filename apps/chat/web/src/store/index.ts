import { configureStore } from '@reduxjs/toolkit';
import { acceptBatches, tetherlineMiddleware } from 'tetherline/redux';
import auth from '@/store/slices/authSlice';
import conversation from '@/store/slices/conversationSlice';

const reducer = acceptBatches({ auth, conversation });

export function createStore() {
  return configureStore({
    reducer,
    // One dispatch for all messages of a frame, and none of them after what came later.
    middleware: (defaults) => defaults().concat(tetherlineMiddleware()),
  });
}

export type AppStore = ReturnType<typeof createStore>;
export type RootState = ReturnType<typeof reducer>;
