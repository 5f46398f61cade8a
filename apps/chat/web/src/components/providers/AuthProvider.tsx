import { type ReactNode, useState } from 'react';
import { useStore } from 'react-redux';
import { AuthContext } from '@/contexts/AuthContext';
import { createSession } from '@/lib/session';
import type { AppStore } from '@/store';

/** Signing in and out, and access tokens, for everything below. */
export function AuthProvider({ children }: { children: ReactNode }) {
  const store = useStore() as AppStore;
  const [session] = useState(() => createSession(store));
  return <AuthContext value={session}>{children}</AuthContext>;
}
