import { useEffect } from 'react';
import { useDispatch } from 'react-redux';
import type { Message, MessageMeta } from 'tetherline';
import { toHandlers } from 'tetherline/redux';
import {
  MESSAGE_CREATED,
  MESSAGE_GENERATE,
  MESSAGE_REGENERATE,
} from '@/constants/websocket-events';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import { messageOf } from '@/lib/messages';
import { addMessage, answerAwaited, conversationTouched } from '@/store/slices/conversationSlice';
import type { AnswerMessage, QuestionMessage } from '@/types/chat';

/** Brings every chat message of the connection into the Redux store. Returns the connection. */
export function useWebSocketConversation() {
  const websocket = useWebSocketContext();
  const { registerHandlers } = websocket;
  const dispatch = useDispatch();

  useEffect(
    () =>
      registerHandlers(
        toHandlers(dispatch, {
          [MESSAGE_CREATED]: asked,
          [MESSAGE_GENERATE]: received,
          [MESSAGE_REGENERATE]: received,
        }),
      ),
    [registerHandlers, dispatch],
  );

  return websocket;
}

/** What a question means to the store. */
function asked(frame: Message & Partial<QuestionMessage>, meta: MessageMeta) {
  const { conversation_uuid: conversationUuid, answer } = frame;
  const awaited =
    conversationUuid === undefined || answer === undefined
      ? []
      : [answerAwaited({ conversationUuid, answer })];
  return [...received(frame, meta), ...awaited];
}

/** What a chat message means to the store. */
function received(frame: Message & Partial<AnswerMessage>, { seq }: MessageMeta) {
  const { conversation_uuid: conversationUuid, conversation, ref } = frame;
  const message = messageOf(frame, seq);
  const touched = conversation === undefined ? [] : [conversationTouched(conversation)];
  const added =
    conversationUuid === undefined || message === undefined
      ? []
      : [addMessage({ conversationUuid, message, ref })];
  return [...touched, ...added];
}
