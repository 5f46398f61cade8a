import type { ConversationMessage } from '@/types/chat';

declare module 'tetherline' {
  interface MessageMap {
    message_created: ConversationMessage;
    message_generate: ConversationMessage;
    message_regenerate: ConversationMessage;
  }
}
