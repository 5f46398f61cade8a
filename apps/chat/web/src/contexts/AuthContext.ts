import { createContext, useContext } from 'react';
import type { AuthSession } from '@/lib/session';

export const AuthContext = createContext<AuthSession | null>(null);

export function useAuth(): AuthSession {
  const session = useContext(AuthContext);
  if (session === null) {
    throw new Error('useAuth must be used within an AuthProvider.');
  }
  return session;
}
