/** Who is signed in. */
export interface User {
  uuid: string;
  name: string;
  email: string;
}

export interface Conversation {
  uuid: string;
  title: string;
  updated_at: string;
}

/** How an answer ended. A question is complete. */
export type MessageStatus = 'complete' | 'failed' | 'stopped' | 'interrupted';

/** A message as the server tells it. */
export interface WireMessage {
  uuid: string;
  role: 'user' | 'assistant';
  content: string;
  status: MessageStatus;
  created_at: string;
  /** Why it failed; of a complete one, why it was cut (`length`, `content_filter`). */
  error?: { code: string; message: string };
  /** What it follows: of a question the answer before it, of an answer its question. */
  parent?: string | null;
  /** From 1 among those of its kind that follow the same message. */
  version?: number;
  /** How often the answer was begun, this time included. */
  attempt?: number;
  /** The question that this answers. */
  reply_to?: string;
}

/** An answer that was asked for and has not ended. */
export interface PendingAnswer {
  message_uuid: string;
  /** The send that asked for it. */
  ref: string;
  parent: string;
  version: number;
}

/** An answer that this page has asked for again: over itself, or as another version. */
export interface Regeneration {
  /** Of the send. */
  id: string;
  messageUuid: string;
  isRetry: boolean;
}

/** What is known of a message that this page sent and the server has not shown back yet. */
export type Delivery =
  | { state: 'sending' }
  | { state: 'accepted' }
  // `isFinal`: under this id the server would only repeat its refusal.
  | { state: 'failed'; reason: string; isFinal: boolean };

/** A message on the screen. `uuid` of the person's own one is the id of its send. */
export interface ChatMessage extends WireMessage {
  delivery?: Delivery;
  /** The question of which this is another version. */
  edits?: string | undefined;
  /** The mailbox position as of which this is what the message says, where one is known. */
  asOf?: number | undefined;
}

/** Every durable chat message carries the conversation it belongs to. */
export interface ConversationMessage {
  conversation_uuid: string;
  conversation: Conversation;
  message: WireMessage;
}

/** A question, and the answer that is on its way now. */
export interface QuestionMessage extends ConversationMessage {
  answer?: PendingAnswer;
}

/** The end of an answer. Where the server had to end it by itself, it says less. */
export interface AnswerMessage extends Omit<ConversationMessage, 'message'> {
  message: WireMessage | Pick<WireMessage, 'content' | 'status'>;
  timestamp?: string;
  message_uuid?: string;
  attempt?: number;
  ref?: string;
  parent?: string | null;
  version?: number;
}
