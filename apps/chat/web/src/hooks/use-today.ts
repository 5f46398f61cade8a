import { useMemo, useSyncExternalStore } from 'react';

/** Which day it is here. Renders when that changes, also if the machine has slept over midnight. */
export function useToday(): Date {
  const day = useSyncExternalStore(subscribe, () => new Date().toDateString());
  return useMemo(() => new Date(day), [day]);
}

function subscribe(changed: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const waitForMidnight = () => {
    const now = new Date();
    const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
    timer = setTimeout(look, midnight.getTime() - now.getTime());
  };
  const look = () => {
    clearTimeout(timer);
    waitForMidnight();
    changed();
  };
  waitForMidnight();
  document.addEventListener('visibilitychange', look);
  window.addEventListener('pageshow', look);
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
    window.removeEventListener('pageshow', look);
  };
}
