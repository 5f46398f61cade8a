import type { StreamInfo } from 'tetherline';
import { parentOf } from '@/lib/messages';
import { type UnfinishedAnswer, forkOf, type Place } from '@/lib/tree';
import type { ChatMessage, PendingAnswer, Regeneration } from '@/types/chat';

/** The answers of a conversation without a final text: streams, and what is waited for. */
export function unfinishedOf(
  messages: readonly ChatMessage[],
  pending: readonly PendingAnswer[],
  regenerations: readonly Regeneration[],
  streams: readonly StreamInfo[],
): UnfinishedAnswer[] {
  const answers = new Map<string, UnfinishedAnswer>();
  for (const { message_uuid: uuid, ref, parent, version } of pending) {
    answers.set(uuid, { uuid, parent, version, ref, phase: 'awaited', isNamed: true });
  }
  for (const stream of streams.filter((one) => !isPast(one, messages))) {
    const { uuid, ref, isGrowing } = stream;
    const { parent, version } = placeOf(stream);
    const awaited = answers.get(uuid);
    // The old attempt of what is waited for again.
    if (isGrowing || awaited === undefined || awaited.ref === ref) {
      const phase = isGrowing ? 'streaming' : 'ended';
      answers.set(uuid, { uuid, parent, version, ref, phase, isNamed: true });
    }
  }
  const refs = new Set([...answers.values()].map(({ ref }) => ref));
  for (const { id, messageUuid, isRetry } of regenerations) {
    const message = messages.find(({ uuid }) => uuid === messageUuid);
    if (message !== undefined && !refs.has(id)) {
      const uuid = isRetry ? messageUuid : `version:${id}`;
      const version = isRetry ? (message.version ?? 1) : Infinity;
      const place = { uuid, parent: parentOf(message), version, isNamed: isRetry };
      answers.set(uuid, { ...place, ref: id, phase: 'awaited' });
    }
  }
  return [...answers.values()];
}

/** A path that ends with a question ends with the answer that has to come. */
export function withAwaited(path: readonly Place[]): readonly Place[] {
  const last = path.at(-1);
  if (last?.message?.role !== 'user' || isUnsettled(last.message)) {
    return path;
  }
  const uuid = `answer:${last.uuid}`;
  const unfinished: UnfinishedAnswer = {
    uuid,
    parent: last.uuid,
    version: 1,
    // A question's uuid is the id of its send.
    ref: last.uuid,
    phase: 'awaited',
    isNamed: false,
  };
  const fork = forkOf('assistant', last.uuid);
  const place = { uuid, role: 'assistant', message: undefined, unfinished } as const;
  return [...path, { ...place, fork, versions: [uuid] }];
}

/** What a question follows that is asked at the end of this path. */
export function endOf(path: readonly Place[]): string | null {
  const last = path.at(-1);
  return last?.unfinished?.isNamed === false ? last.unfinished.parent : (last?.uuid ?? null);
}

/** The answer that this path waits for or watches. */
export function awaitedOn(path: readonly Place[]): UnfinishedAnswer | undefined {
  return path
    .flatMap(({ unfinished }) => unfinished ?? [])
    .filter(({ phase }) => phase !== 'ended')
    .at(-1);
}

/** Where its application says that it belongs. */
function placeOf({ start: { parent, version } }: StreamInfo) {
  return {
    parent: typeof parent === 'string' ? parent : null,
    version: typeof version === 'number' ? version : 1,
  };
}

/** Whether its final message is here. */
function isPast(stream: StreamInfo, messages: readonly ChatMessage[]): boolean {
  const message = messages.find(({ uuid }) => uuid === stream.uuid);
  return message !== undefined && (message.attempt ?? stream.attempt) >= stream.attempt;
}

function isUnsettled({ delivery }: ChatMessage): boolean {
  return delivery !== undefined && delivery.state !== 'accepted';
}
