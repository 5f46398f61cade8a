import { useSyncExternalStore } from 'react';
import type * as Module from '@/lib/markdown/katex';

type Katex = typeof Module;

let katex: Katex | null = null;
let isLoading = false;
const waiting = new Set<() => void>();

/** The typesetter, once it is here: it is fetched with the first formula that is to be shown. */
export function useKatex(): Katex | null {
  return useSyncExternalStore(subscribe, () => katex);
}

function subscribe(changed: () => void): () => void {
  waiting.add(changed);
  void load();
  return () => waiting.delete(changed);
}

async function load(): Promise<void> {
  if (katex !== null || isLoading) {
    return;
  }
  isLoading = true;
  try {
    katex = await import('@/lib/markdown/katex');
    waiting.forEach((changed) => changed());
  } catch {
    // Without a network formulas stay as they were written, until it is back.
    window.addEventListener('online', () => void load(), { once: true });
  } finally {
    isLoading = false;
  }
}
