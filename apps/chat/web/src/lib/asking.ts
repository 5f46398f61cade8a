import { toast } from 'sonner';
import { type OutgoingMessage, TetherlineError } from 'tetherline';
import { MESSAGE_GENERATE, MESSAGE_REGENERATE } from '@/constants/websocket-events';
import type { AppStore } from '@/store';
import {
  addMessage,
  deliveryChanged,
  regenerationFailed,
  regenerationStarted,
} from '@/store/slices/conversationSlice';
import type { Delivery } from '@/types/chat';

type Dispatch = AppStore['dispatch'];

/** A question on its way. */
export interface Question extends OutgoingMessage {
  id: string;
  message: string;
  /** When it was asked, ISO 8601. */
  timestamp: string;
  /** None for one that opens a conversation: the server names that after the question. */
  conversation_uuid?: string;
}

/** An answer on its way to be written anew. */
export interface Regeneration extends OutgoingMessage {
  id: string;
  conversation_uuid: string;
  message_uuid: string;
}

/** Shows a question at once, and how its send goes. */
export function showQuestion(dispatch: Dispatch, question: Question, sent: Promise<unknown>): void {
  const { id, message, timestamp, conversation_uuid: conversationUuid = id } = question;
  dispatch(
    addMessage({
      conversationUuid,
      message: {
        uuid: id,
        role: 'user',
        content: message,
        status: 'complete',
        created_at: timestamp,
        delivery: { state: 'sending' },
      },
    }),
  );
  const settle = (delivery: Delivery) =>
    dispatch(deliveryChanged({ conversationUuid, messageUuid: id, delivery }));
  sent.then(
    () => settle({ state: 'accepted' }),
    (error: unknown) =>
      settle({ state: 'failed', reason: reasonOf(error), isFinal: isFinal(error) }),
  );
}

/** Shows that an answer is being written anew, until it is or cannot be. */
export function showRegeneration(
  dispatch: Dispatch,
  { id, message_uuid: messageUuid }: Regeneration,
  sent: Promise<unknown>,
): void {
  dispatch(regenerationStarted({ messageUuid, id }));
  sent.catch((error: unknown) => {
    dispatch(regenerationFailed({ messageUuid, id }));
    showFailure(error);
  });
}

/** Shows what an earlier page of this browser could not send, and this one does. */
export function showRestored(store: AppStore, message: OutgoingMessage, sent: Promise<unknown>) {
  if (message.type === MESSAGE_GENERATE) {
    const question = message as Question;
    const { id, conversation_uuid: conversationUuid = id } = question;
    const known = store.getState().conversation.messages[conversationUuid] ?? [];
    // If the server has shown it, only its `accepted` was lost.
    if (!known.some(({ uuid }) => uuid === id)) {
      showQuestion(store.dispatch, question, sent);
    }
  } else if (message.type === MESSAGE_REGENERATE) {
    showRegeneration(store.dispatch, message as Regeneration, sent);
  }
}

/** Under the id of the server's own notice, so that there are never two of them. */
function showFailure(error: unknown): void {
  const code = error instanceof TetherlineError ? error.code : 'unexpected';
  if (code !== 'signed_out') {
    toast.error(reasonOf(error), { id: `tetherline-${code}` });
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
