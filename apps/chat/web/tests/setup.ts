import { cleanup } from '@testing-library/react';
import { afterEach, beforeEach, vi } from 'vitest';

// What jsdom lacks. There is no layout in it, so that nothing ever changes its size.
class NoResizeObserver implements ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

const reach = globalThis.fetch;

// Tests in a Node environment share this file, and have no page.
beforeEach(() => {
  if (typeof window === 'undefined') {
    return;
  }
  vi.stubGlobal('ResizeObserver', NoResizeObserver);
  vi.stubGlobal('matchMedia', (media: string) => ({
    matches: media.includes('pointer: fine'),
    media,
    addEventListener: () => {},
    removeEventListener: () => {},
  }));
  // Node's fetch knows no page to be relative to, and does not take jsdom's signals.
  vi.stubGlobal('fetch', (path: string | URL, { signal: _, headers, ...init }: RequestInit = {}) =>
    reach(new URL(path, window.location.href.replace(/^ws/, 'http')), {
      ...init,
      headers: Object.fromEntries(new Headers(headers)),
    }),
  );
  localStorage.clear();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.clearAllMocks();
});
