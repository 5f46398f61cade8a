import type { AnswerMessage, ChatMessage, WireMessage } from '@/types/chat';

/** The list with this message in it, in place of the one of the same uuid. */
export function withMessage(messages: ChatMessage[], message: ChatMessage): ChatMessage[] {
  return messages.some(({ uuid }) => uuid === message.uuid)
    ? messages.map((other) => (other.uuid === message.uuid ? message : other))
    : [...messages, message];
}

/** Whether what is known of a message is newer: history and the connection overtake each other. */
export function isOutdated(message: ChatMessage, known: ChatMessage | undefined): boolean {
  return message.asOf !== undefined && known?.asOf !== undefined && message.asOf < known.asOf;
}

const CONTINUATION = 'continue-';

/**
 * The id under which an answer that was cut is asked to go on. It is the same in every tab and after a reload, so however
 * often it is asked, it goes on once.
 */
export function continuationOf(answer: string): string {
  return `${CONTINUATION}${answer}`;
}

/** Whether a question is only that an answer goes on: what is shown is the answer. */
export function isContinuation({ role, uuid, parent }: ChatMessage): boolean {
  return role === 'user' && typeof parent === 'string' && uuid.startsWith(CONTINUATION);
}

/** What a message is known to follow. */
export function parentOf(message: ChatMessage | undefined): string | null {
  return message?.parent ?? message?.reply_to ?? null;
}

/** What the server has not shown back yet comes last. */
export function byTime(a: ChatMessage, b: ChatMessage): number {
  const pending = Number(a.delivery !== undefined) - Number(b.delivery !== undefined);
  return pending !== 0 ? pending : Date.parse(a.created_at) - Date.parse(b.created_at);
}

/** The message of a frame, whole: an answer that the server ended by itself says less in it. */
export function messageOf(
  frame: Partial<AnswerMessage>,
  asOf: number | undefined,
): ChatMessage | undefined {
  const { message, message_uuid: uuid, attempt, parent, version, timestamp } = frame;
  if (message === undefined) {
    return undefined;
  }
  if (uuid === undefined || attempt === undefined) {
    return { ...(message as WireMessage), asOf };
  }
  return {
    uuid,
    role: 'assistant',
    attempt,
    created_at: timestamp ?? '',
    ...(parent === undefined ? {} : { parent }),
    ...(version === undefined ? {} : { version }),
    ...message,
    asOf,
  };
}
