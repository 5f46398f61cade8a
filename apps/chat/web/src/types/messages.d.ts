import type { Question, RegenerationRequest } from '@/lib/asking';
import type { AnswerMessage, QuestionMessage } from '@/types/chat';

declare module 'tetherline' {
  interface MessageMap {
    message_created: QuestionMessage;
    message_generate: AnswerMessage;
    message_regenerate: AnswerMessage;
  }

  interface SentMessageMap {
    message_generate: Omit<Question, 'id'>;
    message_regenerate: Omit<RegenerationRequest, 'id'>;
  }
}
