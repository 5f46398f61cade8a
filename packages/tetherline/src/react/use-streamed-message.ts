'use client';

import { useContext, useState, useSyncExternalStore } from 'react';

import type { Client, Message, StreamedMessage, StreamInfo } from '../index.js';
import { ClientContext, provided, WebSocketContext } from './context.js';
import { framesOf } from './frames.js';

const NONE: readonly StreamedMessage[] = [];

/**
 * A stream, and a while after its end; undefined if it is not known here. Renders
 * again only when this stream has changed, and at most once per frame, however fast it is written.
 */
export function useStreamedMessage(uuid: string | null | undefined): StreamedMessage | undefined {
  const { subscribe, get } = useSource('useStreamedMessage');
  return useSyncExternalStore(
    subscribe,
    () => get().find((message) => message.uuid === uuid),
    () => undefined,
  );
}

/** All streams, and the last that have ended: for "who is writing in this conversation". */
export function useStreamedMessages(): readonly StreamedMessage[] {
  const { subscribe, get } = useSource('useStreamedMessages');
  return useSyncExternalStore(subscribe, get, () => NONE);
}

/**
 * Answers without their text, all or those whose `message_start` is wanted: "what is written in this
 * conversation". The same array, and no render, until one begins, begins anew or ends.
 */
export function useStreams(isWanted?: (start: Message) => boolean): readonly StreamInfo[] {
  const { subscribe, get } = useSource('useStreams');
  const [keep] = useState(keeping);
  return useSyncExternalStore(
    subscribe,
    () => keep(isWanted ? get().filter(({ start }) => isWanted(start)) : get()),
    () => NONE,
  );
}

/** Answers what it has answered before, for as long as that says the same. */
function keeping(): (now: readonly StreamedMessage[]) => readonly StreamInfo[] {
  let kept: readonly StreamInfo[] = NONE;
  return (now) => {
    if (now.length !== kept.length || now.some((one, index) => differs(one, kept[index]))) {
      kept = now.map(({ text: _, ...info }) => info);
    }
    return kept;
  };
}

function differs(one: StreamInfo, other: StreamInfo | undefined): boolean {
  return (
    one.start !== other?.start ||
    one.status !== other.status ||
    one.ref !== other.ref ||
    one.isGrowing !== other.isGrowing
  );
}

type Streams = Pick<ReturnType<typeof framesOf>['streams'], 'subscribe' | 'get'>;

/** Where a literal stands in for the connection, there are no streams. */
const NO_STREAMS: Streams = { subscribe: () => () => undefined, get: () => NONE };

function useSource(hook: string): Streams {
  const client: Client | null = useContext(ClientContext);
  provided(useContext(WebSocketContext), hook);
  return client ? framesOf(client).streams : NO_STREAMS;
}
