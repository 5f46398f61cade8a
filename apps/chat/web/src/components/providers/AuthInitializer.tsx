import { type ReactNode, useLayoutEffect } from 'react';
import { useStore } from 'react-redux';
import { SIGNED_OUT_ELSEWHERE_NOTICE } from '@/lib/session';
import { readUser, watchUser } from '@/lib/storage';
import type { AppStore } from '@/store';
import { signedOut, userRestored } from '@/store/slices/authSlice';
import type { User } from '@/types/chat';

/** Restores who is signed in from localStorage, and follows what other tabs do about it. */
export function AuthInitializer({ children }: { children: ReactNode }) {
  const store = useStore() as AppStore;

  useLayoutEffect(() => {
    if (store.getState().auth.phase === 'restoring') {
      follow(store, readUser(), null);
    }
    return watchUser((user) => follow(store, user, SIGNED_OUT_ELSEWHERE_NOTICE));
  }, [store]);

  return children;
}

function follow(store: AppStore, user: User | null, notice: string | null): void {
  const { auth } = store.getState();
  const known = auth.phase === 'signed_in' ? auth.user.uuid : null;
  if (auth.phase !== 'restoring' && (user?.uuid ?? null) === known) {
    return;
  }
  if (auth.phase !== 'signed_out' && (known !== null || user === null)) {
    store.dispatch(signedOut({ notice }));
  }
  if (user !== null) {
    store.dispatch(userRestored(user));
  }
}
