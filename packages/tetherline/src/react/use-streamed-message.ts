'use client';

import { useContext, useSyncExternalStore } from 'react';

import type { Client, StreamedMessage } from '../index.js';
import { ClientContext, provided, WebSocketContext } from './context.js';
import { framesOf } from './frames.js';

const NONE: readonly StreamedMessage[] = [];

/**
 * An answer while it grows, and a while after its end; undefined if it is not known here. Renders
 * again only when this answer has changed, and at most once per frame, however fast it grows.
 */
export function useStreamedMessage(uuid: string | null | undefined): StreamedMessage | undefined {
  const { subscribe, get } = useStreams('useStreamedMessage');
  return useSyncExternalStore(
    subscribe,
    () => get().find((message) => message.uuid === uuid),
    () => undefined,
  );
}

/** All answers that grow, and the last that did: for "who is writing in this conversation". */
export function useStreamedMessages(): readonly StreamedMessage[] {
  const { subscribe, get } = useStreams('useStreamedMessages');
  return useSyncExternalStore(subscribe, get, () => NONE);
}

type Streams = Pick<ReturnType<typeof framesOf>['streams'], 'subscribe' | 'get'>;

/** Where a literal stands in for the connection, nothing grows. */
const NO_STREAMS: Streams = { subscribe: () => () => undefined, get: () => NONE };

function useStreams(hook: string): Streams {
  const client: Client | null = useContext(ClientContext);
  provided(useContext(WebSocketContext), hook);
  return client ? framesOf(client).streams : NO_STREAMS;
}
