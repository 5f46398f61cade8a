import type { Client, StreamedMessage } from 'tetherline';
import type { AnswerStream } from '@/lib/under-way';

/**
 * Which answers a connection knows to be growing, without their text: this changes when one begins
 * or ends, and not with every token.
 */
export class AnswerStreams {
  readonly subscribe: Client['subscribeStreams'];
  readonly #client: Client;
  readonly #kept = new Map<string, readonly AnswerStream[]>();

  constructor(client: Client) {
    this.#client = client;
    this.subscribe = client.subscribeStreams;
  }

  /** Those of a conversation: the same array for as long as they are the same. */
  of(conversationUuid: string): readonly AnswerStream[] {
    const now = this.#client
      .getStreams()
      .filter(({ start }) => start['conversation_uuid'] === conversationUuid)
      .map(withoutText);
    const kept = this.#kept.get(conversationUuid) ?? NONE;
    if (now.length === kept.length && now.every((stream, index) => isSame(stream, kept[index]))) {
      return kept;
    }
    this.#kept.set(conversationUuid, now);
    return now;
  }
}

const NONE: readonly AnswerStream[] = [];

/** One for every component of a client. */
export function answerStreamsOf(client: Client): AnswerStreams {
  const streams = known.get(client) ?? new AnswerStreams(client);
  known.set(client, streams);
  return streams;
}

const known = new WeakMap<Client, AnswerStreams>();

function withoutText({ uuid, attempt, isGrowing, ref, start }: StreamedMessage): AnswerStream {
  const { parent, version } = start;
  return {
    uuid,
    attempt,
    isGrowing,
    ref,
    parent: typeof parent === 'string' ? parent : null,
    version: typeof version === 'number' ? version : 1,
  };
}

function isSame(one: AnswerStream, other: AnswerStream | undefined): boolean {
  return (
    one.uuid === other?.uuid &&
    one.attempt === other.attempt &&
    one.isGrowing === other.isGrowing &&
    one.ref === other.ref
  );
}
