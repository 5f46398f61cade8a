import { request } from '@/api/http';
import type { User } from '@/types/chat';

export interface Session {
  user: User;
  access_token: string;
  expires_in_ms: number;
}

export interface SignIn {
  email: string;
  password: string;
}

export interface SignUp extends SignIn {
  name: string;
}

export async function signUp(body: SignUp): Promise<Session> {
  return (await request('/api/auth/sign-up', { method: 'POST', body })) as Session;
}

export async function signIn(body: SignIn): Promise<Session> {
  return (await request('/api/auth/sign-in', { method: 'POST', body })) as Session;
}

/** Whose browser this is, says its cookie. */
export async function refresh(signal: AbortSignal): Promise<Session> {
  return (await request('/api/auth/refresh', { method: 'POST', signal })) as Session;
}

/** Ends this person's sign-in, and nobody's who has signed in from another tab meanwhile. */
export async function signOut(user: string): Promise<void> {
  await request(`/api/auth/sign-out?user=${user}`, { method: 'POST' });
}
