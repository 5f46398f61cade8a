'use client';

import { useContext, useEffect } from 'react';

import { ClientContext, provided, WebSocketContext } from './context.js';

/**
 * Holds message types for as long as the component is mounted: what comes while they have no handler
 * waits for it. For a component that outlives the ones with the handlers, which a route, `Suspense` or
 * a hidden `Activity` takes away.
 */
export function useHold(...types: string[]): void {
  // A context that stands in for the provider's in a test has no client, and parks nothing.
  provided(useContext(WebSocketContext), 'useHold');
  const client = useContext(ClientContext);
  const list = JSON.stringify(types);
  useEffect(() => client?.hold(...(JSON.parse(list) as string[])), [client, list]);
}
