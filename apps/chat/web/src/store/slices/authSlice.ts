import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import type { User } from '@/types/chat';

/** An access token, in memory only. `expiresAt` is in ms since 1970. */
export interface AccessToken {
  accessToken: string;
  expiresAt: number;
}

export type AuthState =
  | { phase: 'restoring' }
  | { phase: 'signed_out'; notice: string | null }
  | { phase: 'signed_in'; user: User; accessToken: string | null; expiresAt: number };

const initialState = { phase: 'restoring' } as AuthState;

const authSlice = createSlice({
  name: 'auth',
  initialState,
  reducers: {
    /** The user that this browser remembers; a token is fetched when it is needed. */
    userRestored: (_, { payload: user }: PayloadAction<User>): AuthState => ({
      phase: 'signed_in',
      user,
      accessToken: null,
      expiresAt: 0,
    }),
    signedIn: (_, { payload }: PayloadAction<{ user: User } & AccessToken>): AuthState => ({
      phase: 'signed_in',
      ...payload,
    }),
    /** `notice` says why, when it was not the person's own doing. */
    signedOut: (_, { payload }: PayloadAction<{ notice: string | null }>): AuthState => ({
      phase: 'signed_out',
      notice: payload.notice,
    }),
  },
  selectors: {
    selectUser: (state) => (state.phase === 'signed_in' ? state.user : null),
    selectNotice: (state) => (state.phase === 'signed_out' ? state.notice : null),
    selectPhase: (state) => state.phase,
  },
});

export const { userRestored, signedIn, signedOut } = authSlice.actions;
export const { selectUser, selectNotice, selectPhase } = authSlice.selectors;
export default authSlice.reducer;
