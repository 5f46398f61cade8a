import type { Call } from '../engine/loop.js';

/** Whether somebody can see this page. */
export function isVisible(): boolean {
  return document.visibilityState === 'visible';
}

/**
 * Tells the engine about the network and whether the page is seen, and about its being left, perhaps
 * for the back-forward cache, and used again. Returns its own undoing.
 */
export function watchPage(
  call: (into: Call) => void,
  left: () => void,
  woke: () => void,
): () => void {
  if (typeof window === 'undefined' || typeof document === 'undefined') {
    return () => undefined;
  }
  const watch = new AbortController();
  const options = { signal: watch.signal };
  window.addEventListener('online', () => call((engine, now) => engine.online(1, now)), options);
  window.addEventListener('offline', () => call((engine, now) => engine.online(0, now)), options);
  document.addEventListener(
    'visibilitychange',
    () => {
      call((engine, now) => engine.visible(isVisible() ? 1 : 0, now));
      if (isVisible()) {
        woke();
      }
    },
    options,
  );
  // Into the back-forward cache, or gone for good: nobody knows at this point.
  window.addEventListener('pagehide', left, options);
  // Back from there: timers stood still.
  window.addEventListener(
    'pageshow',
    (event) => {
      if (event.persisted) {
        woke();
      }
    },
    options,
  );
  // Back from being frozen in the background (Page Lifecycle API).
  document.addEventListener('resume', woke, options);
  return () => watch.abort();
}
