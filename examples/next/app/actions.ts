'use server';

import { refresh } from 'next/cache';

import { forget, remember, USER } from '@/lib/session';

/** Anybody may be anybody here; your application has a password, or whatever it has. */
export async function signIn(form: FormData): Promise<void> {
  const user = String(form.get('user'));
  if (USER.test(user)) {
    await remember(user);
  }
}

export async function signOut(user: string): Promise<void> {
  await forget(user);
  // Also where the cookie stays: the page then shows whose it is.
  refresh();
}
