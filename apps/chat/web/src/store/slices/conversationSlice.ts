import { createSelector, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { isOutdated, parentOf, withMessage } from '@/lib/messages';
import { type Choices, forkOf } from '@/lib/tree';
import { signedOut } from '@/store/slices/authSlice';
import type {
  ChatMessage,
  Conversation,
  Delivery,
  PendingAnswer,
  Regeneration,
  WireMessage,
} from '@/types/chat';

/** How far something that is read over HTTP has come. */
export type Loading =
  | { state: 'idle' }
  | { state: 'loading' }
  | { state: 'ready' }
  /** The server has answered that there is no such thing, or none of this person's. */
  | { state: 'missing' }
  | { state: 'failed'; reason: string };

export interface ConversationState {
  /** Newest first. */
  list: Conversation[];
  listLoading: Loading;
  /** The open one; `null` shows the start of a new conversation. */
  current: { uuid: string } | null;
  /** All versions and branches, in any order: what they follow makes a tree of them. */
  messages: Record<string, ChatMessage[]>;
  historyLoading: Record<string, Loading>;
  /** What the server says is on its way, by conversation. */
  pending: Record<string, PendingAnswer[]>;
  /** What this page has asked to be answered again, by conversation. */
  regenerations: Record<string, Regeneration[]>;
  /** Answers that were told to stop and have not ended: by their uuid, or the send that asked. */
  stopping: Record<string, true>;
  /** Which versions are shown, by conversation, where the person has chosen. */
  choices: Record<string, Choices>;
  /** Counts up when messages were missed for good, so that what was read is read again. */
  generation: number;
  /** What was known before that and was not heard of since: it goes if the server does not know it. */
  unconfirmed: Unconfirmed;
}

interface Unconfirmed {
  conversations: string[];
  /** By conversation. */
  messages: Record<string, string[]>;
}

interface VersionChoice {
  fork: string;
  uuid: string;
}

interface HistoryRead {
  conversation: Conversation;
  messages: WireMessage[];
  pending: PendingAnswer[];
  /** The mailbox position as of which this is so. */
  asOf: number;
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
  pending: {},
  regenerations: {},
  stopping: {},
  choices: {},
  generation: 0,
  unconfirmed: { conversations: [], messages: {} },
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
      for (const uuid of state.unconfirmed.conversations) {
        forgetConversation(state, uuid);
      }
      state.unconfirmed.conversations = [];
    },
    historyLoadingChanged(
      state,
      { payload }: PayloadAction<InConversation & { loading: Loading }>,
    ) {
      state.historyLoading[payload.conversationUuid] = payload.loading;
    },
    historyLoaded(state, { payload }: PayloadAction<HistoryRead>) {
      const { conversation, asOf } = payload;
      const { uuid } = conversation;
      upsertConversation(state, conversation);
      state.historyLoading[uuid] = { state: 'ready' };
      const before = state.messages[uuid] ?? [];
      const isHere = (known: string) => payload.messages.some((one) => one.uuid === known);
      const gone = (state.unconfirmed.messages[uuid] ?? []).filter((known) => !isHere(known));
      state.unconfirmed.messages = without(state.unconfirmed.messages, uuid);
      let messages = before.filter((message) => !gone.includes(message.uuid));
      for (const message of payload.messages.map((one) => ({ ...one, asOf }))) {
        if (!isOutdated(message, find(state, uuid, message.uuid))) {
          messages = withMessage(messages, message);
        }
      }
      state.messages[uuid] = messages;
      // What has ended since is not pending any more.
      const ended = before.filter((known) => (known.asOf ?? 0) > asOf).map((known) => known.uuid);
      state.pending[uuid] = payload.pending.filter(
        (answer) => !ended.includes(answer.message_uuid),
      );
    },
    /** The server knows no such conversation. It may be about to be made, if nobody missed anything. */
    conversationMissing(state, { payload }: PayloadAction<string>) {
      state.historyLoading[payload] = { state: 'missing' };
      if (state.unconfirmed.conversations.includes(payload)) {
        forgetConversation(state, payload);
      }
    },
    /** A conversation that the server spoke of. */
    conversationTouched(state, { payload }: PayloadAction<Conversation>) {
      upsertConversation(state, payload);
    },
    /** Puts a message into its conversation, or over what is known of it. */
    addMessage(
      state,
      {
        payload,
      }: PayloadAction<
        InConversation & {
          message: ChatMessage;
          /** The send that asked for it. */
          ref?: string | undefined;
        }
      >,
    ) {
      const { conversationUuid, message, ref } = payload;
      const isOld = isOutdated(message, find(state, conversationUuid, message.uuid));
      // The end of what a send has asked for is its end also if the history had it first.
      if (message.role === 'assistant' && (!isOld || ref !== undefined)) {
        forgetUnfinished(state, conversationUuid, message.uuid, ref);
      }
      if (isOld) {
        return;
      }
      forgetDraft(state, conversationUuid, message);
      confirmMessage(state, conversationUuid, message.uuid);
      const known = state.messages[conversationUuid] ?? [];
      state.messages[conversationUuid] = withMessage(known, message);
    },
    /** The server has begun to look for an answer. */
    answerAwaited(state, { payload }: PayloadAction<InConversation & { answer: PendingAnswer }>) {
      const { conversationUuid, answer } = payload;
      const known = state.pending[conversationUuid] ?? [];
      const isHere = find(state, conversationUuid, answer.message_uuid) !== undefined;
      if (!isHere && !known.some(({ message_uuid: uuid }) => uuid === answer.message_uuid)) {
        state.pending[conversationUuid] = [...known, answer];
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
    regenerationStarted(
      state,
      { payload }: PayloadAction<InConversation & { regeneration: Regeneration }>,
    ) {
      const { conversationUuid, regeneration } = payload;
      state.regenerations[conversationUuid] = [
        ...(state.regenerations[conversationUuid] ?? []),
        regeneration,
      ];
      // Whoever asks for another version wants to see it.
      const parent = parentOf(find(state, conversationUuid, regeneration.messageUuid));
      state.choices[conversationUuid] = without(
        state.choices[conversationUuid] ?? {},
        forkOf('assistant', parent),
      );
    },
    regenerationFailed(state, { payload }: PayloadAction<InConversation & { id: string }>) {
      const known = state.regenerations[payload.conversationUuid] ?? [];
      state.regenerations[payload.conversationUuid] = known.filter(({ id }) => id !== payload.id);
    },
    /** The person has chosen this version of a message. */
    versionChosen(state, { payload }: PayloadAction<InConversation & VersionChoice>) {
      const { conversationUuid, fork, uuid } = payload;
      state.choices[conversationUuid] = { ...state.choices[conversationUuid], [fork]: uuid };
    },
    stopRequested(state, { payload }: PayloadAction<{ answer: string }>) {
      state.stopping[payload.answer] = true;
    },
    stopFailed(state, { payload }: PayloadAction<{ answer: string }>) {
      state.stopping = without(state.stopping, payload.answer);
    },
    /** Messages were missed that will never come: everything has to be read again. */
    historyOutdated(state) {
      state.generation += 1;
      state.listLoading = { state: 'idle' };
      state.historyLoading = {};
      // The end of these may be among what was missed.
      state.pending = {};
      state.regenerations = {};
      state.stopping = {};
      // What came after the backup that the server may run on is there no more.
      state.unconfirmed = {
        conversations: state.list.map(({ uuid }) => uuid),
        messages: Object.fromEntries(
          Object.entries(state.messages).map(([uuid, messages]) => [
            uuid,
            messages.filter(isTheServers).map((message) => message.uuid),
          ]),
        ),
      };
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

/** What this page is still sending, the server cannot have. */
function isTheServers({ delivery }: ChatMessage): boolean {
  return delivery === undefined;
}

function forgetConversation(state: ConversationState, uuid: string): void {
  state.list = state.list.filter((conversation) => conversation.uuid !== uuid);
  const kept = (state.messages[uuid] ?? []).filter((message) => !isTheServers(message));
  state.messages = without(state.messages, uuid);
  if (kept.length > 0) {
    state.messages[uuid] = kept;
  }
  state.unconfirmed.messages = without(state.unconfirmed.messages, uuid);
}

function confirmMessage(state: ConversationState, conversationUuid: string, uuid: string): void {
  const unconfirmed = state.unconfirmed.messages[conversationUuid];
  if (unconfirmed !== undefined) {
    state.unconfirmed.messages[conversationUuid] = unconfirmed.filter((other) => other !== uuid);
  }
}

function upsertConversation(state: ConversationState, conversation: Conversation): void {
  const { unconfirmed } = state;
  const wasUnconfirmed = unconfirmed.conversations.includes(conversation.uuid);
  unconfirmed.conversations = unconfirmed.conversations.filter(
    (uuid) => uuid !== conversation.uuid,
  );
  const known = state.list.find((other) => other.uuid === conversation.uuid);
  if (known === undefined) {
    state.list.push(conversation);
  } else if (wasUnconfirmed || known.updated_at <= conversation.updated_at) {
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

/** An answer has ended: nothing waits for it any more. */
function forgetUnfinished(
  state: ConversationState,
  conversationUuid: string,
  uuid: string,
  ref: string | undefined,
): void {
  state.pending[conversationUuid] = (state.pending[conversationUuid] ?? []).filter(
    (answer) => answer.message_uuid !== uuid || (ref !== undefined && answer.ref !== ref),
  );
  state.regenerations[conversationUuid] = (state.regenerations[conversationUuid] ?? []).filter(
    ({ id, messageUuid }) => (ref === undefined ? messageUuid !== uuid : id !== ref),
  );
  state.stopping = without(state.stopping, uuid, ref);
}

function without<T>(record: Record<string, T>, ...keys: (string | undefined)[]): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
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

/** Whether the open conversation is one that does not exist. */
export function selectIsMissing({ current, historyLoading, messages }: ConversationState): boolean {
  const uuid = current?.uuid ?? '';
  // What has come over the connection since then exists.
  return historyLoading[uuid]?.state === 'missing' && (messages[uuid] ?? []).length === 0;
}

export const {
  conversationOpened,
  listLoadingChanged,
  listLoaded,
  historyLoadingChanged,
  historyLoaded,
  conversationMissing,
  conversationTouched,
  addMessage,
  answerAwaited,
  deliveryChanged,
  messageDiscarded,
  regenerationStarted,
  regenerationFailed,
  versionChosen,
  stopRequested,
  stopFailed,
  historyOutdated,
} = conversationSlice.actions;
export default conversationSlice.reducer;
