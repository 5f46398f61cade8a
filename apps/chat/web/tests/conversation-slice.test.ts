// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { createStore } from '@/store';
import { signedOut } from '@/store/slices/authSlice';
import {
  addMessage,
  conversationMissing,
  conversationOpened,
  conversationTouched,
  deliveryChanged,
  historyLoaded,
  historyOutdated,
  listLoaded,
  answerAwaited,
  regenerationFailed,
  regenerationStarted,
  stopFailed,
  stopRequested,
} from '@/store/slices/conversationSlice';
import { selectPath } from '@/store/path';
import type { ChatMessage } from '@/types/chat';

const CONVERSATION = { uuid: 'c1', title: 'One', updated_at: '2026-01-01T10:00:00Z' };

function message(uuid: string, minute: number, more: Partial<ChatMessage> = {}): ChatMessage {
  return {
    uuid,
    role: 'user',
    content: uuid,
    status: 'complete',
    created_at: `2026-01-01T10:${String(minute).padStart(2, '0')}:00Z`,
    ...more,
  };
}

function givenStore() {
  const store = createStore();
  const add = (added: ChatMessage, conversationUuid = 'c1') =>
    store.dispatch(addMessage({ conversationUuid, message: added }));
  const state = () => store.getState().conversation;
  const path = () => selectPath(store.getState(), 'c1', []);
  const uuids = () => path().map(({ uuid }) => uuid);
  return { store, add, state, path, uuids };
}

describe('the messages of a conversation', () => {
  it('has each message once, the newest version of it', () => {
    const { add, state } = givenStore();
    add(message('q', 1, { delivery: { state: 'sending' } }));
    add(message('q', 2));
    add(message('q', 2));
    expect(state().messages.c1).toEqual([message('q', 2)]);
  });

  it('puts answers under their questions, and what is on its way last', () => {
    const { add, uuids } = givenStore();
    add(message('mine', 0, { delivery: { state: 'sending' } }));
    add(message('q2', 2));
    add(message('q1', 1));
    add(message('a2', 3, { role: 'assistant', reply_to: 'q2' }));
    add(message('a1', 4, { role: 'assistant', reply_to: 'q1' }));
    expect(uuids()).toEqual(['q1', 'a1', 'q2', 'a2', 'mine']);
  });

  it('merges history with what came meanwhile', () => {
    const { store, add, uuids } = givenStore();
    add(message('q2', 2));
    store.dispatch(
      historyLoaded({
        conversation: CONVERSATION,
        messages: [message('q1', 1), message('q2', 2)],
        pending: [],
        asOf: 2,
      }),
    );
    add(message('q3', 3));
    expect(uuids().slice(0, 3)).toEqual(['q1', 'q2', 'q3']);
  });

  it('keeps the newer version, whether history or the connection brought it', () => {
    const { store, add, state } = givenStore();
    const answer = (content: string, asOf?: number) =>
      message('a', 1, { role: 'assistant', content, ...(asOf === undefined ? {} : { asOf }) });
    const read = (content: string, asOf: number) =>
      store.dispatch(
        historyLoaded({
          conversation: CONVERSATION,
          messages: [answer(content)],
          pending: [],
          asOf,
        }),
      );
    const shown = () => state().messages.c1?.map(({ content }) => content);
    // The history was on its way while a newer answer came over the connection.
    add(answer('live, at 5', 5));
    read('history as of 4', 4);
    expect(shown()).toEqual(['live, at 5']);
    read('history as of 9', 9);
    expect(shown()).toEqual(['history as of 9']);
    // The mailbox repeats what the history is ahead of.
    const regeneration = { id: 'send-1', messageUuid: 'a', isRetry: true };
    store.dispatch(regenerationStarted({ conversationUuid: 'c1', regeneration }));
    add(answer('a repetition, at 5', 5));
    expect(shown()).toEqual(['history as of 9']);
    expect(state().regenerations.c1).toEqual([regeneration]);
    // Another mailbox counts anew; what ended unseen is not waited for.
    store.dispatch(historyOutdated());
    expect(state().regenerations).toEqual({});
    read('history as of 1', 1);
    expect(shown()).toEqual(['history as of 1']);
  });

  it('keeps what the server showed when a late acceptance comes', () => {
    const { store, add, state } = givenStore();
    add(message('q', 1));
    store.dispatch(
      deliveryChanged({
        conversationUuid: 'c1',
        messageUuid: 'q',
        delivery: { state: 'failed', reason: 'expired', isFinal: false },
      }),
    );
    expect(state().messages.c1?.[0]?.delivery).toBeUndefined();
  });

  it('moves a new conversation to the name that the server gives it', () => {
    const { store, add, state } = givenStore();
    add(message('q', 1, { delivery: { state: 'sending' } }), 'q');
    store.dispatch(conversationOpened('q'));
    add(message('q', 1));
    expect(state().current).toEqual({ uuid: 'c1' });
    expect(Object.keys(state().messages)).toEqual(['c1']);
  });
});

describe('what a restored server knows no more', () => {
  // It stayed on the screen until the page was loaded anew.
  const question = message('q', 1, { asOf: 1 });
  const late = message('late', 2, { asOf: 2 });
  const sending = message('mine', 3, { delivery: { state: 'sending' } });
  const second = { uuid: 'c2', title: 'Two', updated_at: '2026-01-01T11:00:00Z' };

  function givenWhatWasRead() {
    const given = givenStore();
    given.store.dispatch(listLoaded([{ ...CONVERSATION, title: 'Renamed' }, second]));
    [question, late, sending].forEach((one) => given.add(one));
    given.add(message('c2', 1, { asOf: 1 }), 'c2');
    given.store.dispatch(historyOutdated());
    return given;
  }

  it('goes when the history is read again, and what this page sends stays', () => {
    const { store, add, state } = givenWhatWasRead();
    const shown = () => state().messages.c1?.map(({ uuid }) => uuid);
    expect(shown()).toEqual(['q', 'late', 'mine']);
    add(message('news', 4, { asOf: 2 }));
    store.dispatch(
      historyLoaded({
        conversation: CONVERSATION,
        messages: [message('q', 1)],
        pending: [],
        asOf: 1,
      }),
    );
    expect(shown()).toEqual(['q', 'mine', 'news']);
    // Once: what a later answer does not list is older than it goes back.
    store.dispatch(
      historyLoaded({ conversation: CONVERSATION, messages: [], pending: [], asOf: 2 }),
    );
    expect(shown()).toEqual(['q', 'mine', 'news']);
  });

  it('goes from the list, with its messages, and a title is what it was', () => {
    const { store, state } = givenWhatWasRead();
    const earlier = { ...CONVERSATION, title: 'One', updated_at: '2026-01-01T09:00:00Z' };
    store.dispatch(conversationTouched({ uuid: 'c3', title: 'New', updated_at: '2026-01-02' }));
    store.dispatch(listLoaded([earlier]));
    expect(state().list.map(({ title }) => title)).toEqual(['New', 'One']);
    expect(state().messages.c2).toBeUndefined();
    expect(state().messages.c1).toHaveLength(3);
  });

  it('goes when it is open and the server says that there is no such conversation', () => {
    const { store, state } = givenWhatWasRead();
    store.dispatch(conversationMissing('c1'));
    expect(state().list.map(({ uuid }) => uuid)).toEqual(['c2']);
    expect(state().messages.c1).toEqual([sending]);
  });
});

describe('the list of conversations', () => {
  it('is sorted by the last change, and an old report changes nothing', () => {
    const { store, state } = givenStore();
    store.dispatch(conversationTouched(CONVERSATION));
    store.dispatch(
      conversationTouched({ uuid: 'c2', title: 'Two', updated_at: '2026-01-01T11:00:00Z' }),
    );
    store.dispatch(
      conversationTouched({ ...CONVERSATION, title: 'Older', updated_at: '2026-01-01T09:00:00Z' }),
    );
    expect(state().list.map(({ title }) => title)).toEqual(['Two', 'One']);
  });
});

describe('what is on its way', () => {
  const asked = { message_uuid: 'a', ref: 'q', parent: 'q', version: 1 };
  const end = (more: Partial<ChatMessage> = {}) =>
    message('a', 2, { role: 'assistant', parent: 'q', version: 1, ...more });

  it('is a place below its question until its end comes', () => {
    const { store, add, state, path } = givenStore();
    add(message('q', 1, { parent: null }));
    store.dispatch(answerAwaited({ conversationUuid: 'c1', answer: asked }));
    expect(path().map(({ uuid, unfinished }) => [uuid, unfinished?.phase])).toEqual([
      ['q', undefined],
      ['a', 'awaited'],
    ]);
    add(end());
    expect(path().at(-1)).toMatchObject({ uuid: 'a', unfinished: undefined });
    expect(state().pending.c1).toEqual([]);
    // The mailbox repeats the question.
    store.dispatch(answerAwaited({ conversationUuid: 'c1', answer: asked }));
    expect(state().pending.c1).toEqual([]);
  });

  it('is what the history says, but for what has ended since', () => {
    const { store, add, state } = givenStore();
    add(end({ asOf: 7 }));
    store.dispatch(
      historyLoaded({
        conversation: CONVERSATION,
        messages: [message('q', 1, { parent: null })],
        pending: [asked, { ...asked, message_uuid: 'b', version: 2, ref: 'send-2' }],
        asOf: 5,
      }),
    );
    expect(state().pending.c1?.map(({ message_uuid: uuid }) => uuid)).toEqual(['b']);
  });

  it('again ends with the answer to that very request, or with its refusal', () => {
    const { store, state } = givenStore();
    const begin = (id: string) =>
      store.dispatch(
        regenerationStarted({
          conversationUuid: 'c1',
          regeneration: { id, messageUuid: 'a', isRetry: true },
        }),
      );
    const ids = () => state().regenerations.c1?.map(({ id }) => id);
    begin('send-1');
    begin('send-2');
    store.dispatch(regenerationFailed({ conversationUuid: 'c1', id: 'send-1' }));
    expect(ids()).toEqual(['send-2']);
    const late = end({ attempt: 1 });
    store.dispatch(addMessage({ conversationUuid: 'c1', message: late, ref: 'another' }));
    expect(ids()).toEqual(['send-2']);
    store.dispatch(addMessage({ conversationUuid: 'c1', message: end(), ref: 'send-2' }));
    expect(ids()).toEqual([]);
  });

  it('is not waited for when the history had its end first, where it was for ever', () => {
    const { store, state } = givenStore();
    const regeneration = { id: 'send-1', messageUuid: 'a', isRetry: true };
    store.dispatch(regenerationStarted({ conversationUuid: 'c1', regeneration }));
    store.dispatch(
      historyLoaded({ conversation: CONVERSATION, messages: [end()], pending: [], asOf: 9 }),
    );
    const late = end({ asOf: 8 });
    store.dispatch(addMessage({ conversationUuid: 'c1', message: late, ref: 'send-1' }));
    expect(state().regenerations.c1).toEqual([]);
    expect(state().messages.c1?.map(({ asOf }) => asOf)).toEqual([9]);
  });

  it('is stopped until it has ended, or could not be told', () => {
    const { store, add, state } = givenStore();
    store.dispatch(stopRequested({ answer: 'a' }));
    store.dispatch(stopRequested({ answer: 'send-2' }));
    store.dispatch(stopFailed({ answer: 'send-2' }));
    expect(state().stopping).toEqual({ a: true });
    add(end({ status: 'stopped' }));
    expect(state().stopping).toEqual({});
  });
});

it('nothing of a person is left after signing out', () => {
  const { store, add, state } = givenStore();
  const untouched = state();
  add(message('q', 1));
  store.dispatch(conversationTouched(CONVERSATION));
  store.dispatch(conversationOpened('c1'));
  store.dispatch(signedOut({ notice: null }));
  expect(state()).toEqual(untouched);
});
