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
import { addMessage, conversationTouched } from '@/store/slices/conversationSlice';
import type { ConversationMessage } from '@/types/chat';

/** Brings every chat message of the connection into the Redux store. Returns the connection. */
export function useWebSocketConversation() {
  const websocket = useWebSocketContext();
  const { registerHandlers } = websocket;
  const dispatch = useDispatch();

  useEffect(
    () =>
      registerHandlers(
        toHandlers(dispatch, {
          [MESSAGE_CREATED]: received,
          [MESSAGE_GENERATE]: received,
          [MESSAGE_REGENERATE]: received,
        }),
      ),
    [registerHandlers, dispatch],
  );

  return websocket;
}

/** What a chat message means to the store. */
function received(
  { conversation_uuid, conversation, message }: Message & Partial<ConversationMessage>,
  { seq }: MessageMeta,
) {
  const touched = conversation === undefined ? [] : [conversationTouched(conversation)];
  const added =
    conversation_uuid === undefined || message === undefined
      ? []
      : [addMessage({ conversationUuid: conversation_uuid, message: { ...message, asOf: seq } })];
  return [...touched, ...added];
}
