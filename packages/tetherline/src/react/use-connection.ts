'use client';

import { useContext, useSyncExternalStore } from 'react';

import { SIGNED_OUT } from '../core/page/snapshot.js';
import type { Client, Snapshot } from '../index.js';
import { ClientContext, provided } from './context.js';
import { framesOf } from './frames.js';

/**
 * One value out of the connection's snapshot; renders again only when that value changes. A selector
 * that makes an object makes another one whenever anything has changed: select plain values.
 */
export function useConnection<T>(selector: (snapshot: Snapshot) => T): T {
  return useSnapshot(provided(useContext(ClientContext), 'useConnection'), selector);
}

/** The client of the nearest provider. */
export function useTetherlineClient(): Client {
  return provided(useContext(ClientContext), 'useTetherlineClient');
}

export function useSnapshot<T>(client: Client, selector: (snapshot: Snapshot) => T): T {
  const frames = framesOf(client).snapshot;
  const select = remembering(selector);
  return useSyncExternalStore(
    frames.subscribe,
    () => select(frames.get()),
    // A page hydrates as what the server has rendered, even if there is a connection by then.
    () => select(SIGNED_OUT),
  );
}

/** React compares what it selects twice: without a change that has to be the same value. */
function remembering<T>(selector: (snapshot: Snapshot) => T): (snapshot: Snapshot) => T {
  let last: { readonly snapshot: Snapshot; readonly value: T } | undefined;
  return (snapshot) => {
    if (last?.snapshot !== snapshot) {
      last = { snapshot, value: selector(snapshot) };
    }
    return last.value;
  };
}
