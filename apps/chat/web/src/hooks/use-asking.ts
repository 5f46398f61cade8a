import { useCallback } from 'react';
import { useDispatch, useStore } from 'react-redux';
import { uuidv7 } from 'tetherline';
import { MESSAGE_GENERATE, MESSAGE_REGENERATE } from '@/constants/websocket-events';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import {
  type Question,
  type RegenerationRequest,
  showQuestion,
  showRegeneration,
  showStop,
} from '@/lib/asking';
import { continuationOf } from '@/lib/messages';
import type { UnfinishedAnswer } from '@/lib/tree';
import type { AppStore } from '@/store';
import { conversationOpened, messageDiscarded } from '@/store/slices/conversationSlice';
import type { ChatMessage } from '@/types/chat';

/** What the model is told to go on. */
const GO_ON = 'Go on exactly where you stopped. Do not repeat anything.';

/** Where a question is asked. */
export interface Asked {
  /** None for one that opens a conversation. */
  conversationUuid: string | null;
  /** What it follows. */
  parent?: string | null | undefined;
  /** The question of which it is another version. */
  edits?: string | undefined;
  id?: string | undefined;
}

/** Asking, asking again, having an answer written anew or stopped: shown at once, settled later. */
export function useAsking() {
  const { send, stop: sendStop } = useWebSocketContext();
  const dispatch = useDispatch();
  const store = useStore() as AppStore;

  const ask = useCallback(
    (content: string, { conversationUuid, parent, edits, id = uuidv7() }: Asked) => {
      const question: Question = {
        type: MESSAGE_GENERATE,
        id,
        message: content,
        timestamp: new Date().toISOString(),
        ...(conversationUuid === null ? {} : { conversation_uuid: conversationUuid }),
        ...(edits !== undefined ? { edits } : typeof parent === 'string' ? { parent } : {}),
      };
      showQuestion(store, question, send(question));
      if (conversationUuid === null) {
        dispatch(conversationOpened(id));
      }
      return id;
    },
    [send, dispatch, store],
  );

  /** Under its old id, so that it cannot be there twice, unless the server has refused that. */
  const askAgain = useCallback(
    (message: ChatMessage, conversationUuid: string) => {
      const opensConversation = conversationUuid === message.uuid;
      dispatch(messageDiscarded({ conversationUuid, messageUuid: message.uuid }));
      const isRefused = message.delivery?.state === 'failed' && message.delivery.isFinal;
      ask(message.content, {
        conversationUuid: opensConversation ? null : conversationUuid,
        parent: message.parent,
        edits: message.edits,
        id: isRefused ? undefined : message.uuid,
      });
    },
    [ask, dispatch],
  );

  /** Has an answer that was cut go on. */
  const goOn = useCallback(
    (answer: string, conversationUuid: string) => {
      ask(GO_ON, { conversationUuid, parent: answer, id: continuationOf(answer) });
    },
    [ask],
  );

  /** Another version of an answer; or, of one that has not become whole, the same once more. */
  const regenerate = useCallback(
    (messageUuid: string, conversationUuid: string, { isRetry = false } = {}) => {
      const request: RegenerationRequest = {
        type: MESSAGE_REGENERATE,
        id: uuidv7(),
        conversation_uuid: conversationUuid,
        message_uuid: messageUuid,
        ...(isRetry ? { retry: true } : {}),
      };
      showRegeneration(dispatch, request, send(request));
    },
    [send, dispatch],
  );

  /** Ends an answer where it is, or before it has begun. Once is enough. */
  const stop = useCallback(
    ({ uuid, ref, phase }: UnfinishedAnswer) => {
      const isBegun = phase === 'streaming' || ref === undefined;
      const answer = isBegun ? uuid : ref;
      if (store.getState().conversation.stopping[answer] === undefined) {
        showStop(dispatch, answer, sendStop(isBegun ? { message_uuid: uuid } : { ref: answer }));
      }
    },
    [sendStop, dispatch, store],
  );

  return { ask, askAgain, goOn, regenerate, stop };
}
