import { useSyncExternalStore } from 'react';

/** What the address bar can say. */
export type Route =
  { page: 'chat'; conversation: string | null } | { page: 'sign-in' } | { page: 'sign-up' };

const MOVED = 'tetherline-chat:moved';

export function useRoute(): Route {
  const path = useSyncExternalStore(listen, () => window.location.pathname);
  return parse(path);
}

/** Goes there; the back button comes back, unless the entry is replaced. */
export function navigate(path: string, { replace = false } = {}): void {
  if (window.location.pathname === path) {
    return;
  }
  window.history[replace ? 'replaceState' : 'pushState'](null, '', path);
  window.dispatchEvent(new Event(MOVED));
}

export function conversationPath(uuid: string): string {
  return `/c/${encodeURIComponent(uuid)}`;
}

function parse(path: string): Route {
  if (path === '/sign-in' || path === '/sign-up') {
    return { page: path === '/sign-in' ? 'sign-in' : 'sign-up' };
  }
  const uuid = /^\/c\/([^/]+)\/?$/.exec(path)?.[1];
  return { page: 'chat', conversation: uuid === undefined ? null : decode(uuid) };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
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
