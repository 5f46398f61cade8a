/** A page that draws nothing, although it is not said to be hidden, waits so long at most. */
export const FRAME_WAIT_MS_MAX = 100;

/** Whether there is a next frame: hidden pages have none, nor have servers. */
export function hasFrames(): boolean {
  return typeof requestAnimationFrame === 'function' && document.visibilityState !== 'hidden';
}

/** For a page that has frames. Returns its own undoing. */
export function beforeNextFrame(run: () => void): () => void {
  const cancel = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  const once = () => {
    cancel();
    run();
  };
  const frame = requestAnimationFrame(once);
  // The page may be hidden before its next frame.
  const timer = setTimeout(once, FRAME_WAIT_MS_MAX);
  return cancel;
}
