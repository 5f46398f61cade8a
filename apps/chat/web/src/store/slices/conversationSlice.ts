import { createSelector, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { arrange, isOutdated, withMessage } from '@/lib/arrange';
import { signedOut } from '@/store/slices/authSlice';
import type { ChatMessage, Conversation, Delivery, WireMessage } from '@/types/chat';

/** How far something that is read over HTTP has come. */
export type Loading =
  | { state: 'idle' }
  | { state: 'loading' }
  | { state: 'ready' }
  | { state: 'failed'; reason: string };

export interface ConversationState {
  /** Newest first. */
  list: Conversation[];
  listLoading: Loading;
  /** The open one; `null` shows the start of a new conversation. */
  current: { uuid: string } | null;
  messages: Record<string, ChatMessage[]>;
  historyLoading: Record<string, Loading>;
  /** Answers that are being generated anew: their uuid → the id of the send that asked. */
  regenerating: Record<string, string>;
  /** Grows when messages were missed for good, so that what was read is read again. */
  generation: number;
}

interface InConversation {
  conversationUuid: string;
}

const initialState: ConversationState = {
  list: [],
  listLoading: { state: 'idle' },
  current: null,
  messages: {},
  historyLoading: {},
  regenerating: {},
  generation: 0,
};

const conversationSlice = createSlice({
  name: 'conversation',
  initialState,
  reducers: {
    conversationOpened(state, { payload }: PayloadAction<string | null>) {
      if (state.current?.uuid !== payload) {
        state.current = payload === null ? null : { uuid: payload };
      }
    },
    listLoadingChanged(state, { payload }: PayloadAction<Loading>) {
      state.listLoading = payload;
    },
    listLoaded(state, { payload }: PayloadAction<Conversation[]>) {
      state.listLoading = { state: 'ready' };
      for (const conversation of payload) {
        upsertConversation(state, conversation);
      }
    },
    historyLoadingChanged(
      state,
      { payload }: PayloadAction<InConversation & { loading: Loading }>,
    ) {
      state.historyLoading[payload.conversationUuid] = payload.loading;
    },
    historyLoaded(
      state,
      {
        payload,
      }: PayloadAction<{ conversation: Conversation; messages: WireMessage[]; asOf: number }>,
    ) {
      const { conversation, asOf } = payload;
      upsertConversation(state, conversation);
      state.historyLoading[conversation.uuid] = { state: 'ready' };
      const messages = new Map<string, ChatMessage>(
        payload.messages.map((message) => [message.uuid, { ...message, asOf }]),
      );
      for (const known of state.messages[conversation.uuid] ?? []) {
        const read = messages.get(known.uuid);
        if (read === undefined || isOutdated(read, known)) {
          messages.set(known.uuid, known);
        }
      }
      state.messages[conversation.uuid] = arrange([...messages.values()]);
    },
    /** A conversation that the server spoke of. */
    conversationTouched(state, { payload }: PayloadAction<Conversation>) {
      upsertConversation(state, payload);
    },
    /** Puts a message into its conversation, or over what is known of it. */
    addMessage(state, { payload }: PayloadAction<InConversation & { message: ChatMessage }>) {
      const { conversationUuid, message } = payload;
      if (isOutdated(message, find(state, conversationUuid, message.uuid))) {
        return;
      }
      forgetDraft(state, conversationUuid, message);
      const known = state.messages[conversationUuid] ?? [];
      state.messages[conversationUuid] = withMessage(known, message);
      if (message.role === 'assistant') {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
        delete state.regenerating[message.uuid];
      }
    },
    deliveryChanged(
      state,
      { payload }: PayloadAction<InConversation & { messageUuid: string; delivery: Delivery }>,
    ) {
      const message = find(state, payload.conversationUuid, payload.messageUuid);
      // Without a delivery the server has shown the message already: that is the better news.
      if (message?.delivery !== undefined) {
        message.delivery = payload.delivery;
      }
    },
    messageDiscarded(state, { payload }: PayloadAction<InConversation & { messageUuid: string }>) {
      const known = state.messages[payload.conversationUuid] ?? [];
      const rest = known.filter((message) => message.uuid !== payload.messageUuid);
      state.messages[payload.conversationUuid] = rest;
      // A new conversation was nothing but this.
      if (rest.length === 0 && payload.conversationUuid === payload.messageUuid) {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
        delete state.messages[payload.conversationUuid];
        if (state.current?.uuid === payload.conversationUuid) {
          state.current = null;
        }
      }
    },
    regenerationStarted(state, { payload }: PayloadAction<{ messageUuid: string; id: string }>) {
      state.regenerating[payload.messageUuid] = payload.id;
    },
    regenerationFailed(state, { payload }: PayloadAction<{ messageUuid: string; id: string }>) {
      if (state.regenerating[payload.messageUuid] === payload.id) {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
        delete state.regenerating[payload.messageUuid];
      }
    },
    /** Messages were missed that will never come: everything has to be read again. */
    historyOutdated(state) {
      state.generation += 1;
      state.listLoading = { state: 'idle' };
      state.historyLoading = {};
      // The end of these may be among what was missed.
      state.regenerating = {};
      // If the mailbox is another one now, its positions cannot be compared with the old ones.
      for (const message of Object.values(state.messages).flat()) {
        delete message.asOf;
      }
    },
  },
  extraReducers: (builder) => {
    // Nothing of one person is ever shown to the next.
    builder.addCase(signedOut, () => initialState);
  },
});

function upsertConversation(state: ConversationState, conversation: Conversation): void {
  const known = state.list.find((other) => other.uuid === conversation.uuid);
  if (known === undefined) {
    state.list.push(conversation);
  } else if (known.updated_at <= conversation.updated_at) {
    Object.assign(known, conversation);
  }
  state.list.sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
}

/** A new conversation is shown under its question's uuid until the server has named it. */
function forgetDraft(
  state: ConversationState,
  conversationUuid: string,
  message: ChatMessage,
): void {
  if (conversationUuid === message.uuid || state.messages[message.uuid] === undefined) {
    return;
  }
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  delete state.messages[message.uuid];
  if (state.current?.uuid === message.uuid) {
    state.current = { uuid: conversationUuid };
  }
}

function find(
  state: ConversationState,
  conversationUuid: string,
  messageUuid: string,
): ChatMessage | undefined {
  return state.messages[conversationUuid]?.find((message) => message.uuid === messageUuid);
}

/** The questions that open conversations of which the server has not spoken yet. */
export const selectDrafts = createSelector(
  [(state: ConversationState) => state.list, (state: ConversationState) => state.messages],
  (list, messages) => {
    const known = new Set(list.map(({ uuid }) => uuid));
    return Object.entries(messages).flatMap(([uuid, [question]]) =>
      question?.uuid === uuid && !known.has(uuid) ? [question] : [],
    );
  },
);

export const {
  conversationOpened,
  listLoadingChanged,
  listLoaded,
  historyLoadingChanged,
  historyLoaded,
  conversationTouched,
  addMessage,
  deliveryChanged,
  messageDiscarded,
  regenerationStarted,
  regenerationFailed,
  historyOutdated,
} = conversationSlice.actions;
export default conversationSlice.reducer;
