import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';

// The script in public/theme.js reads it before the first paint.
const THEME_KEY = 'tetherline-chat.theme';
const CHANGED = 'tetherline-chat:theme';

export function useTheme(): { theme: Theme; setTheme: (theme: Theme) => void } {
  return { theme: useSyncExternalStore(listen, current), setTheme };
}

function current(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

function setTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Then the choice holds until the page is left, and in this tab.
  }
  show(theme);
}

function show(theme: Theme): void {
  if (theme === current()) {
    return;
  }
  if (theme === 'system') {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
  window.dispatchEvent(new Event(CHANGED));
}

/** Shows what another tab has chosen. A cached page hears of it when it comes back. */
function follow(event: StorageEvent | PageTransitionEvent): void {
  const mayHaveChanged =
    'persisted' in event ? event.persisted : event.key === THEME_KEY || event.key === null;
  if (!mayHaveChanged) {
    return;
  }
  try {
    const chosen = localStorage.getItem(THEME_KEY);
    show(chosen === 'light' || chosen === 'dark' ? chosen : 'system');
  } catch {
    // Storage is refused: this tab's own choice holds.
  }
}

function listen(changed: () => void): () => void {
  window.addEventListener(CHANGED, changed);
  window.addEventListener('storage', follow);
  window.addEventListener('pageshow', follow);
  return () => {
    window.removeEventListener(CHANGED, changed);
    window.removeEventListener('storage', follow);
    window.removeEventListener('pageshow', follow);
  };
}
