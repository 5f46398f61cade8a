import { useCallback } from 'react';
import { useDispatch } from 'react-redux';
import { MESSAGE_GENERATE, MESSAGE_REGENERATE } from '@/constants/websocket-events';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import { type Question, type Regeneration, showQuestion, showRegeneration } from '@/lib/asking';
import { randomId } from '@/lib/id';
import { conversationOpened, messageDiscarded } from '@/store/slices/conversationSlice';
import type { ChatMessage } from '@/types/chat';

/** Asking, asking again and having an answer written anew: shown at once, settled later. */
export function useAsking() {
  const { send } = useWebSocketContext();
  const dispatch = useDispatch();

  const ask = useCallback(
    (content: string, conversationUuid: string | null, id = randomId()) => {
      const question: Question = {
        type: MESSAGE_GENERATE,
        id,
        message: content,
        timestamp: new Date().toISOString(),
        ...(conversationUuid === null ? {} : { conversation_uuid: conversationUuid }),
      };
      showQuestion(dispatch, question, send(question));
      if (conversationUuid === null) {
        dispatch(conversationOpened(id));
      }
      return id;
    },
    [send, dispatch],
  );

  /** Under its old id, so that it cannot be there twice, unless the server has refused that. */
  const askAgain = useCallback(
    (message: ChatMessage, conversationUuid: string) => {
      const opensConversation = conversationUuid === message.uuid;
      dispatch(messageDiscarded({ conversationUuid, messageUuid: message.uuid }));
      const isRefused = message.delivery?.state === 'failed' && message.delivery.isFinal;
      ask(
        message.content,
        opensConversation ? null : conversationUuid,
        isRefused ? undefined : message.uuid,
      );
    },
    [ask, dispatch],
  );

  const regenerate = useCallback(
    (messageUuid: string, conversationUuid: string) => {
      const regeneration: Regeneration = {
        type: MESSAGE_REGENERATE,
        id: randomId(),
        conversation_uuid: conversationUuid,
        message_uuid: messageUuid,
      };
      showRegeneration(dispatch, regeneration, send(regeneration));
    },
    [send, dispatch],
  );

  return { ask, askAgain, regenerate };
}
