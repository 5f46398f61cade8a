import { useCallback } from 'react';
import { useDispatch } from 'react-redux';
import { toast } from 'sonner';
import { TetherlineError } from 'tetherline';
import { MESSAGE_GENERATE, MESSAGE_REGENERATE } from '@/constants/websocket-events';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import { randomId } from '@/lib/id';
import {
  addMessage,
  conversationOpened,
  deliveryChanged,
  messageDiscarded,
  regenerationFailed,
  regenerationStarted,
} from '@/store/slices/conversationSlice';
import type { ChatMessage, Delivery } from '@/types/chat';

/** Asking, asking again and having an answer written anew: shown at once, settled later. */
export function useAsking() {
  const { send } = useWebSocketContext();
  const dispatch = useDispatch();

  const ask = useCallback(
    (content: string, conversationUuid: string | null, id = randomId()) => {
      // The server names a new conversation after the question that opens it.
      const shownIn = conversationUuid ?? id;
      const message: ChatMessage = {
        uuid: id,
        role: 'user',
        content,
        status: 'complete',
        created_at: new Date().toISOString(),
        delivery: { state: 'sending' },
      };
      dispatch(addMessage({ conversationUuid: shownIn, message }));
      if (conversationUuid === null) {
        dispatch(conversationOpened(id));
      }
      const settle = (delivery: Delivery) =>
        dispatch(deliveryChanged({ conversationUuid: shownIn, messageUuid: id, delivery }));
      send({
        type: MESSAGE_GENERATE,
        id,
        message: content,
        timestamp: message.created_at,
        ...(conversationUuid === null ? {} : { conversation_uuid: conversationUuid }),
      }).then(
        () => settle({ state: 'accepted' }),
        (error: unknown) =>
          settle({ state: 'failed', reason: reasonOf(error), isFinal: isFinal(error) }),
      );
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
      const id = randomId();
      dispatch(regenerationStarted({ messageUuid, id }));
      send({
        type: MESSAGE_REGENERATE,
        id,
        conversation_uuid: conversationUuid,
        message_uuid: messageUuid,
      }).catch((error: unknown) => {
        dispatch(regenerationFailed({ messageUuid, id }));
        showFailure(error);
      });
    },
    [send, dispatch],
  );

  return { ask, askAgain, regenerate };
}

/** Under the id of the server's own notice, so that there are never two of them. */
function showFailure(error: unknown): void {
  const code = error instanceof TetherlineError ? error.code : 'unexpected';
  if (code !== 'signed_out') {
    toast.error(reasonOf(error), { id: `server-${code}` });
  }
}

function isFinal(error: unknown): boolean {
  return !(error instanceof TetherlineError && error.retryable);
}

function reasonOf(error: unknown): string {
  return error instanceof TetherlineError
    ? error.message
    : 'This message could not be sent. Try again.';
}
