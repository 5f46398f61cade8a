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
