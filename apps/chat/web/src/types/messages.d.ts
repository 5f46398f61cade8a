import type { AnswerMessage, QuestionMessage } from '@/types/chat';

declare module 'tetherline' {
  interface MessageMap {
    message_created: QuestionMessage;
    message_generate: AnswerMessage;
    message_regenerate: AnswerMessage;
  }
}
