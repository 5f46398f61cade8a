import { cleanup, configure } from '@testing-library/react';
import { afterEach, beforeEach, vi } from 'vitest';

// A busy machine takes longer than the standard second.
configure({ asyncUtilTimeout: 10_000 });

// What jsdom lacks. There is no layout in it, so that nothing ever changes its size.
class NoResizeObserver implements ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

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
  localStorage.clear();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.clearAllMocks();
});
