import * as api from '@/api/auth';
import { isUnauthorized } from '@/api/http';
import { TOKEN_MARGIN_MS } from '@/constants/limits';
import { eraseUser, writeUser } from '@/lib/storage';
import type { AppStore } from '@/store';
import { signedIn, signedOut } from '@/store/slices/authSlice';

export const SIGNED_OUT_NOTICE = 'Your sign-in has ended. Please sign in again.';
export const SIGNED_OUT_ELSEWHERE_NOTICE = 'You signed out in another tab.';

/** Signing in and out, and the token that proves it. */
export interface AuthSession {
  signIn: (input: api.SignIn) => Promise<void>;
  signUp: (input: api.SignUp) => Promise<void>;
  /** `notice` tells the person why, when it was not their own doing. */
  signOut: (notice?: string) => Promise<void>;
  /** `null` when nobody is signed in (any more); rejects while the server cannot be reached. */
  getToken: (options?: { fresh?: boolean }) => Promise<string | null>;
}

interface Refreshing {
  user: string;
  abort: AbortController;
  token: Promise<string | null>;
}

export function createSession(store: AppStore): AuthSession {
  /** One at a time: the cookie rotates with each of them. */
  let refreshing: Refreshing | null = null;

  function begin(session: api.Session): string {
    if (![null, session.user.uuid].includes(signedInUser())) {
      // Another tab has signed somebody else in meanwhile: nothing of theirs may stay.
      store.dispatch(signedOut({ notice: null }));
    }
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

  /** Whatever a sign-in still waits for must not reach the next one. */
  function abandonRefresh(): void {
    refreshing?.abort.abort();
    refreshing = null;
  }

  function startRefresh(user: string): Refreshing {
    const abort = new AbortController();
    const token = refresh(user, abort.signal).finally(() => {
      if (refreshing?.abort === abort) {
        refreshing = null;
      }
    });
    return { user, abort, token };
  }

  async function refresh(user: string, signal: AbortSignal): Promise<string | null> {
    try {
      const session = await api.refresh(signal);
      signal.throwIfAborted();
      if (signedInUser() !== user) {
        return null;
      }
      // The cookie may be somebody else's by now, who is then the one who is signed in.
      const token = begin(session);
      return session.user.uuid === user ? token : null;
    } catch (error) {
      if (!signal.aborted && isUnauthorized(error)) {
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
      abandonRefresh();
      begin(await api.signIn(input));
    },
    async signUp(input) {
      abandonRefresh();
      begin(await api.signUp(input));
    },
    async signOut(notice) {
      const user = signedInUser();
      abandonRefresh();
      end(notice ?? null);
      if (user !== null) {
        await api.signOut(user);
      }
    },
    getToken({ fresh = false } = {}) {
      const { auth } = store.getState();
      if (auth.phase !== 'signed_in') {
        return Promise.resolve(null);
      }
      if (!fresh && auth.accessToken !== null && auth.expiresAt - TOKEN_MARGIN_MS > Date.now()) {
        return Promise.resolve(auth.accessToken);
      }
      if (refreshing?.user !== auth.user.uuid) {
        abandonRefresh();
        refreshing = startRefresh(auth.user.uuid);
      }
      return refreshing.token;
    },
  };
}
