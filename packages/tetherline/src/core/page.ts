/** Whether somebody can see this page. */
export function isVisible(): boolean {
  return document.visibilityState === 'visible';
}

/** Tells about the network, the page's return and whether it is seen. Returns its own undoing. */
export function watchPage(
  online: (isOnline: boolean) => void,
  woke: () => void,
  seen: (isSeen: boolean) => void,
): () => void {
  if (typeof window === 'undefined' || typeof document === 'undefined') {
    return () => undefined;
  }
  const watch = new AbortController();
  const options = { signal: watch.signal };
  window.addEventListener('online', () => online(true), options);
  window.addEventListener('offline', () => online(false), options);
  document.addEventListener(
    'visibilitychange',
    () => {
      seen(isVisible());
      if (isVisible()) {
        woke();
      }
    },
    options,
  );
  // Back from the back-forward cache: timers stood still and the socket may be long gone.
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
