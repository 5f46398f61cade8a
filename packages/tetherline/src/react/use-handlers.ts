'use client';

import { useContext, useEffect, useInsertionEffect, useRef } from 'react';

import type { Handler, HandlersOf } from '../index.js';
import { provided, WebSocketContext } from './context.js';

/**
 * Handlers for as long as the component is mounted. They are the ones of its latest render, so they
 * need no `useCallback`; they are registered anew only when the set of types changes.
 */
export function useWebSocketHandlers<Type extends string>(handlers: HandlersOf<Type>): void {
  const { registerHandlers } = provided(useContext(WebSocketContext), 'useWebSocketHandlers');
  const latest = useRef<Readonly<Record<string, Handler>>>(handlers);
  // Before all other effects, so that nobody who acts in one finds the handlers of the render before.
  useInsertionEffect(() => {
    latest.current = handlers;
  });
  // A handler that is none is passed on as it is, and reported when it is registered.
  const types = JSON.stringify(
    Object.entries<unknown>(handlers).map(([type, handler]) => [type, typeof handler]),
  );
  useEffect(
    () =>
      registerHandlers(
        Object.fromEntries(
          (JSON.parse(types) as [string, string][]).map(([type, kind]) => [
            type,
            kind === 'function' ? latestOf(latest, type) : (latest.current[type] as Handler),
          ]),
        ),
      ),
    [registerHandlers, types],
  );
}

function latestOf(
  latest: { readonly current: Readonly<Record<string, Handler>> },
  type: string,
): Handler {
  const handler: Handler = (message, meta) => latest.current[type]?.(message, meta);
  // The inspector and stack traces know it by the name of what it calls.
  return Object.defineProperty(handler, 'name', { value: latest.current[type]?.name });
}
