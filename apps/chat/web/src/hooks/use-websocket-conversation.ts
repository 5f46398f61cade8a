import { useEffect } from 'react';
import { useDispatch } from 'react-redux';
import type { Message, MessageMeta } from 'tetherline';
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

  useEffect(() => {
    const receive = (
      { conversation_uuid, conversation, message }: Message & Partial<ConversationMessage>,
      { seq }: MessageMeta,
    ) => {
      if (conversation !== undefined) {
        dispatch(conversationTouched(conversation));
      }
      if (conversation_uuid !== undefined && message !== undefined) {
        dispatch(
          addMessage({ conversationUuid: conversation_uuid, message: { ...message, asOf: seq } }),
        );
      }
    };
    return registerHandlers({
      [MESSAGE_CREATED]: receive,
      [MESSAGE_GENERATE]: receive,
      [MESSAGE_REGENERATE]: receive,
    });
  }, [registerHandlers, dispatch]);

  return websocket;
}
