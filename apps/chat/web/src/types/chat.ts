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

/** A message as the server tells it. */
export interface WireMessage {
  uuid: string;
  role: 'user' | 'assistant';
  content: string;
  status: 'complete' | 'failed';
  created_at: string;
  error?: { code: string; message: string };
  /** The question that this answers. */
  reply_to?: string;
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
  /** The mailbox position as of which this is what the message says, where one is known. */
  asOf?: number | undefined;
}

/** Every durable chat message carries the conversation it belongs to. */
export interface ConversationMessage {
  conversation_uuid: string;
  conversation: Conversation;
  message: WireMessage;
}
