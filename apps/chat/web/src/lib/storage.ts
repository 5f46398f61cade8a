import type { User } from '@/types/chat';

/** Who is signed in, shared by every tab. Tokens are never stored. */
const USER_KEY = 'tetherline-chat.user';

export function readUser(): User | null {
  try {
    return parseUser(localStorage.getItem(USER_KEY));
  } catch {
    // Storage may be switched off: then nobody is remembered.
    return null;
  }
}

export function writeUser(user: User): void {
  try {
    localStorage.setItem(USER_KEY, JSON.stringify(user));
  } catch {
    // Full or switched off: this tab works all the same, and forgets on reload.
  }
}

export function eraseUser(): void {
  try {
    localStorage.removeItem(USER_KEY);
  } catch {
    // Nothing was stored.
  }
}

/** Calls back when another tab may have signed in or out. Returns its own undoing. */
export function watchUser(changed: (user: User | null) => void): () => void {
  const listen = (event: StorageEvent) => {
    // `key` is null when everything was cleared.
    if (event.key === USER_KEY || event.key === null) {
      changed(readUser());
    }
  };
  // In the back-forward cache a page hears nothing of what happens to the storage.
  const lookAgain = (event: PageTransitionEvent) => {
    if (event.persisted) {
      changed(readUser());
    }
  };
  window.addEventListener('storage', listen);
  window.addEventListener('pageshow', lookAgain);
  return () => {
    window.removeEventListener('storage', listen);
    window.removeEventListener('pageshow', lookAgain);
  };
}

function parseUser(text: string | null): User | null {
  if (text === null) {
    return null;
  }
  try {
    const { uuid, name, email } = JSON.parse(text) as Partial<User>;
    const whole = typeof uuid === 'string' && typeof name === 'string' && typeof email === 'string';
    return whole ? { uuid, name, email } : null;
  } catch {
    return null;
  }
}
