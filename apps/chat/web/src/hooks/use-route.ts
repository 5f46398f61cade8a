import { useMemo, useSyncExternalStore } from 'react';

/** What the address bar can say. `next`: the conversation to which a sign-in leads back. */
export type Route =
  | { page: 'chat'; conversation: string | null }
  | { page: 'sign-in' | 'sign-up'; next: string | null }
  | { page: 'unknown' };

const MOVED = 'tetherline-chat:moved';
const NEXT = 'next';

export function useRoute(): Route {
  const address = useSyncExternalStore(listen, here);
  return useMemo(() => parse(address), [address]);
}

/** Goes there; the back button comes back, unless the entry is replaced. */
export function navigate(path: string, { replace = false } = {}): void {
  if (here() === path) {
    return;
  }
  window.history[replace ? 'replaceState' : 'pushState'](null, '', path);
  window.dispatchEvent(new Event(MOVED));
}

export function conversationPath(uuid: string): string {
  return `/c/${encodeURIComponent(uuid)}`;
}

/** Where somebody signs in (or up) who then wants to see this conversation. */
export function signInPath(page: 'sign-in' | 'sign-up', next: string | null): string {
  return next === null
    ? `/${page}`
    : `/${page}?${new URLSearchParams({ [NEXT]: conversationPath(next) }).toString()}`;
}

function here(): string {
  return window.location.pathname + window.location.search;
}

function parse(address: string): Route {
  const { pathname, searchParams } = new URL(address, window.location.origin);
  switch (pathname) {
    case '/':
      return { page: 'chat', conversation: null };
    case '/sign-in':
    case '/sign-up':
      // Anybody can write this address: it leads to a conversation of ours, or nowhere.
      return {
        page: pathname === '/sign-in' ? 'sign-in' : 'sign-up',
        next: conversationOf(searchParams.get(NEXT) ?? ''),
      };
    default: {
      const conversation = conversationOf(pathname);
      return conversation === null ? { page: 'unknown' } : { page: 'chat', conversation };
    }
  }
}

function conversationOf(path: string): string | null {
  const uuid = /^\/c\/([^/?#\\]+)\/?$/.exec(path)?.[1];
  return uuid === undefined ? null : decode(uuid);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not what we write: whatever it is, there is no such conversation.
    return text;
  }
}

function listen(changed: () => void): () => void {
  window.addEventListener('popstate', changed);
  window.addEventListener(MOVED, changed);
  return () => {
    window.removeEventListener('popstate', changed);
    window.removeEventListener(MOVED, changed);
  };
}
