'use client';

import { useContext, useSyncExternalStore } from 'react';

import type { Client, Snapshot } from '../index.js';
import { ClientContext, provided } from './context.js';

/** One value out of the connection's snapshot; renders again only when that value changes. */
export function useConnection<T>(selector: (snapshot: Snapshot) => T): T {
  return useSnapshot(provided(useContext(ClientContext), 'useConnection'), selector);
}

/** The client of the nearest provider. */
export function useTetherlineClient(): Client {
  return provided(useContext(ClientContext), 'useTetherlineClient');
}

export function useSnapshot<T>(client: Client, selector: (snapshot: Snapshot) => T): T {
  const select = () => selector(client.getSnapshot());
  return useSyncExternalStore(client.subscribe, select, select);
}
