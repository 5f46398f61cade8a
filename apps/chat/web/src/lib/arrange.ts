import type { ChatMessage } from '@/types/chat';

/** The list with this message in it: over the one of the same uuid, or in its place by order. */
export function withMessage(messages: ChatMessage[], message: ChatMessage): ChatMessage[] {
  const known = messages.some(({ uuid }) => uuid === message.uuid);
  return arrange(
    known
      ? messages.map((other) => (other.uuid === message.uuid ? message : other))
      : [...messages, message],
  );
}

/** Whether what is known of a message is newer: history and the connection overtake each other. */
export function isOutdated(message: ChatMessage, known: ChatMessage | undefined): boolean {
  return message.asOf !== undefined && known?.asOf !== undefined && message.asOf < known.asOf;
}

/**
 * Puts every answer under its question, whatever order they came in: two questions that are asked
 * at once are answered in any order. What the server has not shown back yet comes last.
 */
export function arrange(messages: ChatMessage[]): ChatMessage[] {
  const questions = new Set(messages.map((message) => message.uuid));
  const answers = new Map<string, ChatMessage[]>();
  const roots: ChatMessage[] = [];
  for (const message of messages) {
    if (message.reply_to !== undefined && questions.has(message.reply_to)) {
      answers.set(message.reply_to, [...(answers.get(message.reply_to) ?? []), message]);
    } else {
      roots.push(message);
    }
  }
  return roots
    .sort(byTime)
    .flatMap((root) => [root, ...(answers.get(root.uuid) ?? []).sort(byTime)]);
}

function byTime(a: ChatMessage, b: ChatMessage): number {
  const pending = Number(a.delivery !== undefined) - Number(b.delivery !== undefined);
  return pending !== 0 ? pending : Date.parse(a.created_at) - Date.parse(b.created_at);
}
