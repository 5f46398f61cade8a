import * as api from '@/api/auth';
import { ApiError } from '@/api/http';
import { TOKEN_MARGIN_MS } from '@/constants/limits';
import { eraseUser, writeUser } from '@/lib/storage';
import type { AppStore } from '@/store';
import { signedIn, signedOut } from '@/store/slices/authSlice';

export const SIGNED_OUT_NOTICE = 'Your sign-in has ended. Please sign in again.';

/** Signing in and out, and the token that proves it. */
export interface AuthSession {
  signIn: (input: api.SignIn) => Promise<void>;
  signUp: (input: api.SignUp) => Promise<void>;
  /** `notice` tells the person why, when it was not their own doing. */
  signOut: (notice?: string) => Promise<void>;
  /** `null` when nobody is signed in (any more); rejects while the server cannot be reached. */
  getToken: (options?: { fresh?: boolean }) => Promise<string | null>;
}

export function createSession(store: AppStore): AuthSession {
  // One refresh at a time: the cookie rotates with each of them.
  let refreshing: Promise<string | null> | null = null;

  function begin(session: api.Session): string {
    writeUser(session.user);
    const expiresAt = Date.now() + session.expires_in_ms;
    store.dispatch(signedIn({ user: session.user, accessToken: session.access_token, expiresAt }));
    return session.access_token;
  }

  function end(notice: string | null): void {
    if (store.getState().auth.phase !== 'signed_out') {
      eraseUser();
      store.dispatch(signedOut({ notice }));
    }
  }

  function signedInUser(): string | null {
    const { auth } = store.getState();
    return auth.phase === 'signed_in' ? auth.user.uuid : null;
  }

  async function refresh(): Promise<string | null> {
    const user = signedInUser();
    try {
      const session = await api.refresh();
      if (user === null || signedInUser() !== user) {
        return null;
      }
      if (session.user.uuid !== user) {
        // Somebody else has signed in with this browser: nothing of the first may reach them.
        store.dispatch(signedOut({ notice: null }));
        begin(session);
        return null;
      }
      return begin(session);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        if (signedInUser() === user) {
          end(SIGNED_OUT_NOTICE);
        }
        return null;
      }
      throw error;
    }
  }

  return {
    async signIn(input) {
      begin(await api.signIn(input));
    },
    async signUp(input) {
      begin(await api.signUp(input));
    },
    async signOut(notice) {
      end(notice ?? null);
      await api.signOut();
    },
    getToken({ fresh = false } = {}) {
      const { auth } = store.getState();
      if (auth.phase !== 'signed_in') {
        return Promise.resolve(null);
      }
      if (!fresh && auth.accessToken !== null && auth.expiresAt - TOKEN_MARGIN_MS > Date.now()) {
        return Promise.resolve(auth.accessToken);
      }
      refreshing ??= refresh().finally(() => {
        refreshing = null;
      });
      return refreshing;
    },
  };
}
