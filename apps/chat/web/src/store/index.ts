import { configureStore } from '@reduxjs/toolkit';
import auth from '@/store/slices/authSlice';
import conversation from '@/store/slices/conversationSlice';

export function createStore() {
  return configureStore({ reducer: { auth, conversation } });
}

export type AppStore = ReturnType<typeof createStore>;
export type RootState = ReturnType<AppStore['getState']>;
