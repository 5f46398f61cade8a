// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { type UnfinishedAnswer, type Choices, forkOf, visiblePath } from '@/lib/tree';
import type { StreamInfo } from 'tetherline';
import { awaitedOn, endOf, unfinishedOf, withAwaited } from '@/lib/unfinished';
import type { ChatMessage } from '@/types/chat';

function message(
  uuid: string,
  minute: number,
  parent: string | null,
  more: Partial<ChatMessage> = {},
): ChatMessage {
  return {
    uuid,
    role: uuid.startsWith('q') ? 'user' : 'assistant',
    content: uuid,
    status: 'complete',
    created_at: `2026-01-01T10:${String(minute).padStart(2, '0')}:00Z`,
    parent,
    version: 1,
    ...more,
  };
}

/** Two questions with their answers; the second answer in two versions, the first one gone on. */
const TALK = [
  message('q1', 1, null),
  message('a1', 2, 'q1'),
  message('q2', 3, 'a1'),
  message('a2', 4, 'q2'),
  message('a2-again', 5, 'q2', { version: 2 }),
];

function path(
  messages: readonly ChatMessage[],
  choices: Choices = {},
  unfinished: readonly UnfinishedAnswer[] = [],
): string[] {
  return visiblePath(messages, unfinished, choices).map(
    ({ uuid, versions }) => `${uuid} ${versions.indexOf(uuid) + 1}/${versions.length}`,
  );
}

describe('the path through a conversation', () => {
  it('is the branch that was written to last', () => {
    expect(path(TALK)).toEqual(['q1 1/1', 'a1 1/1', 'q2 1/1', 'a2-again 2/2']);
    // Somebody went on below the older version.
    expect(path([...TALK, message('q3', 6, 'a2')])).toEqual([
      'q1 1/1',
      'a1 1/1',
      'q2 1/1',
      'a2 1/2',
      'q3 1/1',
    ]);
  });

  it('is the one that was chosen, and shows where that one leads', () => {
    const edited = [...TALK, message('q1-edited', 7, null, { version: 2 })];
    expect(path(edited)).toEqual(['q1-edited 2/2']);
    const choices = { [forkOf('user', null)]: 'q1', [forkOf('assistant', 'q2')]: 'a2' };
    expect(path(edited, choices)).toEqual(['q1 1/2', 'a1 1/1', 'q2 1/1', 'a2 1/2']);
  });

  it('forgets a choice of which there is nothing', () => {
    expect(path(TALK, { [forkOf('assistant', 'q2')]: 'gone' }).at(-1)).toBe('a2-again 2/2');
  });

  it('shows what follows something unknown, since more is there than can be read', () => {
    expect(path([message('q9', 9, 'a8'), message('a9', 10, 'q9')])).toEqual(['q9 1/1', 'a9 1/1']);
  });

  it('has one message below the other where nobody says what it follows', () => {
    const before = { parent: undefined as unknown as null };
    expect(path([message('q2', 2, null, before), message('q1', 1, null, before)])).toEqual([
      'q1 1/1',
      'q2 1/1',
    ]);
  });

  it('has a stream in its place, and what is on its way is newer than anything', () => {
    const streaming = stream('a2-more', { parent: 'q2', version: 3 });
    expect(path(TALK, {}, unfinishedOf(TALK, [], [], [streaming])).at(-1)).toBe('a2-more 3/3');
  });

  it('has a question below the answer that it did not know of yet', () => {
    const talk = [message('q1', 1, null), message('q2', 2, 'q1')];
    const streaming = stream('a1', { parent: 'q1' });
    expect(path(talk)).toEqual(['q1 1/1', 'q2 1/1']);
    expect(path(talk, {}, unfinishedOf(talk, [], [], [streaming]))).toEqual([
      'q1 1/1',
      'a1 1/1',
      'q2 1/1',
    ]);
  });
});

type Given = Partial<StreamInfo> & { parent?: string; version?: number };

function stream(uuid: string, { parent, version, ...more }: Given = {}): StreamInfo {
  const start = { type: 'message_start', parent, version };
  return { uuid, attempt: 1, isGrowing: true, ref: 'send', start, ...more };
}

describe('an unfinished answer', () => {
  const phases = (answers: readonly UnfinishedAnswer[]) =>
    answers.map(({ uuid, phase }) => `${uuid} ${phase}`);
  const pending = { message_uuid: 'a1', ref: 'q1', parent: 'q1', version: 1 };

  it('is awaited, then a stream, and has ended when its message is here', () => {
    const streaming = stream('a1', { ref: 'q1', parent: 'q1' });
    expect(phases(unfinishedOf([], [pending], [], []))).toEqual(['a1 awaited']);
    expect(phases(unfinishedOf([], [pending], [], [streaming]))).toEqual(['a1 streaming']);
    const ended = { ...streaming, isGrowing: false };
    expect(phases(unfinishedOf([], [pending], [], [ended]))).toEqual(['a1 ended']);
    expect(unfinishedOf([message('a1', 2, 'q1', { attempt: 1 })], [], [], [ended])).toEqual([]);
  });

  it('that is tried again is the same one, whose old attempt does not count', () => {
    const old = message('a1', 2, 'q1', { attempt: 1, status: 'stopped' });
    const again = { id: 'send-2', messageUuid: 'a1', isRetry: true };
    const past = stream('a1', { isGrowing: false, ref: 'q1' });
    expect(phases(unfinishedOf([old], [], [again], [past]))).toEqual(['a1 awaited']);
    const next = stream('a1', { attempt: 2, ref: 'send-2', parent: 'q1' });
    expect(phases(unfinishedOf([old], [], [again], [next]))).toEqual(['a1 streaming']);
  });

  it('that becomes another version has a place before it has a name', () => {
    const other = { id: 'send-2', messageUuid: 'a2', isRetry: false };
    const answers = unfinishedOf(TALK, [], [other], []);
    expect(path(TALK, {}, answers).at(-1)).toBe('version:send-2 3/3');
    expect(endOf(visiblePath(TALK, answers, {}))).toBe('q2');
    const named = stream('a2-more', { ref: 'send-2', parent: 'q2', version: 3 });
    expect(path(TALK, {}, unfinishedOf(TALK, [], [other], [named])).at(-1)).toBe('a2-more 3/3');
  });

  it('is expected below a last question that the server has, and can be stopped by it', () => {
    const question = message('q1', 1, null, { delivery: { state: 'sending' } });
    expect(withAwaited(visiblePath([question], [], {}))).toHaveLength(1);
    const taken = { ...question, delivery: { state: 'accepted' } } as const;
    const awaiting = withAwaited(visiblePath([taken], [], {}));
    expect(awaitedOn(awaiting)).toMatchObject({ ref: 'q1', phase: 'awaited' });
    expect(endOf(awaiting)).toBe('q1');
  });
});
