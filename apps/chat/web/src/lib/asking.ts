import { toast } from 'sonner';
import { type OutgoingMessage, TetherlineError } from 'tetherline';
import { MESSAGE_GENERATE, MESSAGE_REGENERATE } from '@/constants/websocket-events';
import { parentOf } from '@/lib/messages';
import { forkOf } from '@/lib/tree';
import type { AppStore, RootState } from '@/store';
import {
  addMessage,
  deliveryChanged,
  regenerationFailed,
  regenerationStarted,
  stopFailed,
  stopRequested,
  versionChosen,
} from '@/store/slices/conversationSlice';
import type { ChatMessage, Delivery } from '@/types/chat';

type Dispatch = AppStore['dispatch'];

/** A question on its way. */
export interface Question {
  type: typeof MESSAGE_GENERATE;
  id: string;
  message: string;
  /** When it was asked, ISO 8601. */
  timestamp: string;
  /** None for one that opens a conversation: the server names that after the question. */
  conversation_uuid?: string;
  /** The answer that it follows, or the question before, whose answer is on its way. */
  parent?: string;
  /** The question of which it is another version. */
  edits?: string;
}

/** An answer on its way to be written anew: over itself, or as another version. */
export interface RegenerationRequest {
  type: typeof MESSAGE_REGENERATE;
  id: string;
  conversation_uuid: string;
  message_uuid: string;
  retry?: true;
}

/** Shows a question at once, and how its send goes. */
export function showQuestion(store: AppStore, question: Question, sent: Promise<unknown>): void {
  const { dispatch } = store;
  const { id, message, timestamp, edits, conversation_uuid: conversationUuid = id } = question;
  const known = store.getState().conversation.messages[conversationUuid] ?? [];
  const place = placeOf(question, known);
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
        edits,
        ...place,
      },
    }),
  );
  if (edits !== undefined) {
    const fork = forkOf('user', place.parent ?? null);
    dispatch(versionChosen({ conversationUuid, fork, uuid: id }));
  }
  const settle = (delivery: Delivery) =>
    dispatch(deliveryChanged({ conversationUuid, messageUuid: id, delivery }));
  sent.then(
    () => settle({ state: 'accepted' }),
    (error: unknown) =>
      settle({ state: 'failed', reason: reasonOf(error), isFinal: isFinal(error) }),
  );
}

/** Where a question will stand. The server says it for good. */
function placeOf(
  { conversation_uuid: conversationUuid, parent, edits }: Question,
  known: readonly ChatMessage[],
): Pick<ChatMessage, 'parent' | 'version'> {
  if (edits === undefined) {
    return conversationUuid === undefined
      ? { parent: null }
      : parent === undefined
        ? {}
        : { parent };
  }
  const edited = parentOf(known.find(({ uuid }) => uuid === edits));
  const versions = known.filter((one) => one.role === 'user' && parentOf(one) === edited);
  return {
    parent: edited,
    version: Math.max(0, ...versions.map(({ version = 1 }) => version)) + 1,
  };
}

/** Whether this send is a question that is shown, with what became of it. */
export function isQuestion({ conversation }: RootState, ref: string | undefined): boolean {
  const shown = Object.values(conversation.messages).flat();
  return ref !== undefined && shown.some(({ uuid }) => uuid === ref);
}

/** Shows that an answer is being written anew, until it is or cannot be. */
export function showRegeneration(
  dispatch: Dispatch,
  { id, conversation_uuid, message_uuid: messageUuid, retry }: RegenerationRequest,
  sent: Promise<unknown>,
): void {
  const conversationUuid = conversation_uuid;
  const regeneration = { id, messageUuid, isRetry: retry === true };
  dispatch(regenerationStarted({ conversationUuid, regeneration }));
  sent.catch((error: unknown) => {
    dispatch(regenerationFailed({ conversationUuid, id }));
    showFailure(error);
  });
}

/** Shows that an answer was told to stop, until it has ended or cannot be told. */
export function showStop(dispatch: Dispatch, answer: string, sent: Promise<unknown>): void {
  dispatch(stopRequested({ answer }));
  sent.catch((error: unknown) => {
    dispatch(stopFailed({ answer }));
    showFailure(error);
  });
}

/** Shows what an earlier page of this browser could not send, and this one does. */
export function showRestored(store: AppStore, message: OutgoingMessage, sent: Promise<unknown>) {
  if (message.type === MESSAGE_GENERATE) {
    const question = message as OutgoingMessage & Question;
    const { id, conversation_uuid: conversationUuid = id } = question;
    const known = store.getState().conversation.messages[conversationUuid] ?? [];
    // If the server has shown it, only its `accepted` was lost.
    if (!known.some(({ uuid }) => uuid === id)) {
      showQuestion(store, question, sent);
    }
  } else if (message.type === MESSAGE_REGENERATE) {
    showRegeneration(store.dispatch, message as OutgoingMessage & RegenerationRequest, sent);
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
