import { useSyncExternalStore } from 'react';

/** A part of the page that is fetched when it is first needed. */
export interface Lazy<Module> {
  /** What was fetched; until then `null`, and the component that asks renders again when it is here. */
  use: () => Module | null;
  load: () => Promise<void>;
}

export function lazy<Module>(fetch: () => Promise<Module>): Lazy<Module> {
  let module: Module | null = null;
  let loading: Promise<void> | null = null;
  const waiting = new Set<() => void>();

  async function fetchOnce(): Promise<void> {
    try {
      module = await fetch();
      waiting.forEach((changed) => changed());
    } catch {
      // Without a network the page does without, until it is back.
      window.addEventListener('online', () => void load(), { once: true });
    } finally {
      loading = null;
    }
  }

  function load(): Promise<void> {
    loading ??= module === null ? fetchOnce() : Promise.resolve();
    return loading;
  }

  function subscribe(changed: () => void): () => void {
    waiting.add(changed);
    void load();
    return () => waiting.delete(changed);
  }

  return { use: () => useSyncExternalStore(subscribe, () => module), load };
}
