import { request } from '@/api/http';
import type { Conversation, PendingAnswer, WireMessage } from '@/types/chat';

interface AsOf {
  /** The mailbox position up to which this is complete. */
  as_of_seq: number;
}

interface Asked {
  token: string;
  signal?: AbortSignal;
}

export async function listConversations(
  asked: Asked,
): Promise<AsOf & { conversations: Conversation[] }> {
  return (await request('/api/conversations', asked)) as AsOf & { conversations: Conversation[] };
}

/** What was said in a conversation, in all its versions, and what is on its way. */
export interface History extends AsOf {
  conversation: Conversation;
  messages: WireMessage[];
  pending?: PendingAnswer[];
}

export async function readMessages(uuid: string, asked: Asked): Promise<History> {
  const path = `/api/conversations/${encodeURIComponent(uuid)}/messages`;
  return (await request(path, asked)) as History;
}
