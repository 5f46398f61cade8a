import { request } from '@/api/http';
import type { Conversation, WireMessage } from '@/types/chat';

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

export async function readMessages(
  uuid: string,
  asked: Asked,
): Promise<AsOf & { conversation: Conversation; messages: WireMessage[] }> {
  return (await request(
    `/api/conversations/${encodeURIComponent(uuid)}/messages`,
    asked,
  )) as AsOf & {
    conversation: Conversation;
    messages: WireMessage[];
  };
}
