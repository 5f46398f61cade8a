import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { App } from '@/App';
import { givenChat, WAIT } from './support/app';

const context = givenChat();
const say = userEvent.setup();

const CONVERSATION = { uuid: 'c', title: 'A title', updated_at: '2026-01-01T10:00:00Z' };
const QUESTION = {
  uuid: 'q',
  role: 'user',
  content: 'What holds?',
  status: 'complete',
  created_at: '2026-01-01T10:00:00Z',
  parent: null,
  version: 1,
};

/** Ada's page with one conversation open, as its history has it. */
async function openConversation(messages: object[] = [QUESTION], pending: object[] = []) {
  window.history.replaceState(null, '', '/c/c');
  context.chat.answers['GET /api/conversations/c/messages'] = {
    status: 200,
    body: { conversation: CONVERSATION, messages, pending, as_of_seq: 0 },
  };
  await context.renderConnected(<App />);
  await screen.findByText('What holds?');
  return screen.getByRole('log');
}

const PLACE = { conversation_uuid: 'c', parent: 'q', version: 1 };

function start(more: object = {}) {
  context.chat.send({
    type: 'message_start',
    message_uuid: 'a',
    attempt: 1,
    ref: 'q',
    ...PLACE,
    ...more,
  });
}

function write(offset: number, text: string, more: object = {}) {
  context.chat.send({
    type: 'message_delta',
    message_uuid: 'a',
    attempt: 1,
    offset,
    text,
    ...more,
  });
}

function answer(content: string, more: object = {}) {
  return {
    uuid: 'a',
    role: 'assistant',
    content,
    status: 'complete',
    attempt: 1,
    created_at: '2026-01-01T10:00:05Z',
    parent: 'q',
    version: 1,
    ...more,
  };
}

function end(content: string, more: object = {}, frame: object = {}) {
  const message = answer(content, more) as Record<string, unknown>;
  context.chat.publish({
    type: 'message_generate',
    ref: 'q',
    ...PLACE,
    message_uuid: message['uuid'],
    attempt: message['attempt'],
    status: message['status'],
    conversation: CONVERSATION,
    message,
    ...frame,
  });
}

describe('a stream', () => {
  it('is shown below its question, and its end puts the same text in the same place', async () => {
    const log = await openConversation();
    within(log).getByText('Thinking…');
    start();
    write(0, 'The **ro');
    const rope = await within(log).findByText('ro', undefined, WAIT);
    expect(rope.tagName).toBe('STRONG');
    expect(log.getAttribute('aria-busy')).toBe('true');
    expect(within(log).getByText('Answer:').closest('li')?.getAttribute('aria-live')).toBe('off');
    screen.getByText('An answer is being written.');
    write(8, 'pe** holds.');
    await within(log).findByText('rope', undefined, WAIT);
    end('The **rope** holds.');
    await within(log).findByRole('button', { name: 'Copy answer' }, WAIT);
    expect(within(log).getByText('rope')).toBe(rope);
    expect(log.getAttribute('aria-busy')).toBe('false');
    screen.getByText('The answer is complete.');
  });

  it('of another conversation is not shown here', async () => {
    const log = await openConversation([QUESTION, answer('Here.')]);
    start({ message_uuid: 'other', conversation_uuid: 'elsewhere' });
    write(0, 'Elsewhere.', { message_uuid: 'other' });
    start({ message_uuid: 'b', version: 2 });
    write(0, 'Also here.', { message_uuid: 'b' });
    await within(log).findByText('Also here.', undefined, WAIT);
    expect(screen.queryByText('Elsewhere.')).toBeNull();
  });

  it('starts over with a later attempt', async () => {
    const log = await openConversation([QUESTION, answer('Half of', { status: 'interrupted' })]);
    within(log).getByText('The server stopped while this was being written.');
    await say.click(within(log).getByRole('button', { name: 'Retry' }));
    await within(log).findByText('Thinking…');
    await waitFor(() => {
      expect(context.chat.framesOf('message_regenerate')[0]).toMatchObject({
        message_uuid: 'a',
        retry: true,
      });
    }, WAIT);
    const ref = context.chat.framesOf('message_regenerate')[0]?.id;
    start({ attempt: 2, ref });
    write(0, 'The whole', { attempt: 2 });
    await within(log).findByText('The whole', undefined, WAIT);
    expect(within(log).queryByText('Half of')).toBeNull();
    end('The whole of it.', { attempt: 2 }, { ref });
    await within(log).findByText('The whole of it.', undefined, WAIT);
  });

  it('that the server had to end by itself is an answer all the same', async () => {
    const log = await openConversation();
    start();
    write(0, 'Half of');
    await within(log).findByText('Half of', undefined, WAIT);
    context.chat.publish({
      type: 'message_generate',
      message_uuid: 'a',
      attempt: 1,
      status: 'interrupted',
      ...PLACE,
      message: { uuid: 'a', content: 'Half of', status: 'interrupted', attempt: 1 },
    });
    await within(log).findByRole('button', { name: 'Retry' }, WAIT);
    within(log).getByText('Half of');
  });
});

describe('an answer that was cut', () => {
  const cut = (code: string) => ({ error: { code, message: `It was cut by ${code}.` } });
  const GO_ON = {
    ...QUESTION,
    uuid: 'continue-a',
    content: 'Go on.',
    created_at: '2026-01-01T10:00:10Z',
    parent: 'a',
  };

  it('says so and goes on below, once, without another question to be seen', async () => {
    // The person had to write "continue", which a note in the text told them, and the model as well.
    const log = await openConversation([QUESTION, answer('Once upon', cut('length'))]);
    within(log).getByText('It was cut by length.');
    await say.dblClick(within(log).getByRole('button', { name: 'Continue' }));
    await within(log).findByText('Thinking…', undefined, WAIT);
    await waitFor(() => expect(context.chat.framesOf('message_generate')).toHaveLength(1), WAIT);
    const [sent] = context.chat.framesOf('message_generate');
    expect(sent).toMatchObject({ id: 'continue-a', parent: 'a', conversation_uuid: 'c' });
    context.chat.publish({
      type: 'message_created',
      conversation_uuid: 'c',
      conversation: CONVERSATION,
      message: { ...GO_ON, content: sent?.message },
      answer: { message_uuid: 'b', ref: 'continue-a', parent: 'continue-a', version: 1 },
    });
    const more = { uuid: 'b', parent: 'continue-a', created_at: '2026-01-01T10:00:15Z' };
    end('a time.', more, { ref: 'continue-a', parent: 'continue-a' });
    await within(log).findByText('a time.', undefined, WAIT);
    expect(within(log).getAllByText('You asked:')).toHaveLength(1);
    expect(within(log).queryByRole('button', { name: 'Continue' })).toBeNull();
  });

  it('is shown with its continuation after a reload, and goes on again where that was cut', async () => {
    const rest = answer('a time', { uuid: 'b', parent: 'continue-a', ...cut('length') });
    const log = await openConversation([
      QUESTION,
      answer('Once upon', cut('length')),
      GO_ON,
      { ...rest, created_at: '2026-01-01T10:00:15Z' },
    ]);
    within(log).getByText('a time');
    expect(within(log).queryByText('Go on.')).toBeNull();
    await say.click(within(log).getByRole('button', { name: 'Continue' }));
    await waitFor(() => {
      expect(context.chat.framesOf('message_generate')[0]).toMatchObject({ id: 'continue-b' });
    }, WAIT);
  });

  it('by a filter says so, and cannot go on', async () => {
    const log = await openConversation([QUESTION, answer('Once upon', cut('content_filter'))]);
    within(log).getByText('It was cut by content_filter.');
    expect(within(log).queryByRole('button', { name: 'Continue' })).toBeNull();
    within(log).getByRole('button', { name: 'Answer again' });
  });

  it('shows what became of going on when it cannot be sent', async () => {
    const log = await openConversation([QUESTION, answer('Once upon', cut('length'))]);
    context.chat.accepts = false;
    await say.click(within(log).getByRole('button', { name: 'Continue' }));
    await waitFor(() => expect(context.chat.framesOf('message_generate')).toHaveLength(1), WAIT);
    const refusal = { code: 'rejected', message: 'Not now.', retryable: false };
    context.chat.send({ type: 'error', ref: 'continue-a', ...refusal });
    await within(log).findByText('Not sent. Not now.', undefined, WAIT);
    await say.click(within(log).getByRole('button', { name: 'Discard' }));
    within(log).getByRole('button', { name: 'Continue' });
  });
});

describe('stopping', () => {
  const stops = () => context.chat.framesOf('message_stop');

  it('goes by the question before the first token, once, with Escape', async () => {
    await openConversation([QUESTION], [{ message_uuid: 'a', ref: 'q', parent: 'q', version: 1 }]);
    const box = screen.getByRole('textbox', { name: 'Message' });
    await say.type(box, '{Escape}{Escape}');
    await waitFor(() => expect(stops()).toMatchObject([{ ref: 'q' }]), WAIT);
    end('', { status: 'stopped' });
    await screen.findByText('Stopped', undefined, WAIT);
    expect(stops()).toHaveLength(1);
    expect(screen.queryByRole('button', { name: 'Stop' })).toBeNull();
  });

  it('goes by the answer when there is one, leaves the focus in the box, and offers another try', async () => {
    const log = await openConversation();
    start();
    write(0, 'Half of');
    await within(log).findByText('Half of', undefined, WAIT);
    await say.click(screen.getByRole('button', { name: 'Stop' }));
    expect(document.activeElement).toBe(screen.getByRole('textbox', { name: 'Message' }));
    await waitFor(() => expect(stops()).toMatchObject([{ message_uuid: 'a' }]), WAIT);
    end('Half of', { status: 'stopped' });
    await say.click(await within(log).findByRole('button', { name: 'Try again' }, WAIT));
    await waitFor(() => {
      expect(context.chat.framesOf('message_regenerate')[0]).toMatchObject({ retry: true });
    }, WAIT);
  });

  it('leaves a way to send what is written meanwhile, behind the answer', async () => {
    const log = await openConversation();
    start();
    write(0, 'Half of');
    await within(log).findByText('Half of', undefined, WAIT);
    await say.type(screen.getByRole('textbox', { name: 'Message' }), 'And then?');
    screen.getByRole('button', { name: 'Stop' });
    await say.click(screen.getByRole('button', { name: 'Send' }));
    await waitFor(() => {
      expect(context.chat.framesOf('message_generate')[0]).toMatchObject({
        message: 'And then?',
        parent: 'a',
      });
    }, WAIT);
  });

  it('that is refused says so, and can be tried again', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    await openConversation();
    start();
    write(0, 'Half of');
    await screen.findByText('Half of', undefined, WAIT);
    context.chat.accepts = false;
    await say.click(screen.getByRole('button', { name: 'Stop' }));
    await waitFor(() => expect(stops()).toHaveLength(1), WAIT);
    const refusal = { code: 'not_found', message: 'There is no such answer.', retryable: false };
    context.chat.send({ type: 'error', ref: stops()[0]?.id, ...refusal });
    await screen.findByText('There is no such answer.', undefined, WAIT);
    await say.click(screen.getByRole('button', { name: 'Stop' }));
    await waitFor(() => expect(stops()).toHaveLength(2), WAIT);
  });
});

describe('versions', () => {
  const TWO = [
    QUESTION,
    answer('The first.'),
    answer('The second.', { uuid: 'b', version: 2, created_at: '2026-01-01T10:00:09Z' }),
  ];

  it('are paged, the newest first to be seen, with the focus where it was', async () => {
    const log = await openConversation(TWO);
    within(log).getByText('The second.');
    within(log).getByText('Version 2 of 2');
    const previous = within(log).getByRole('button', { name: 'Previous version' });
    await say.click(previous);
    within(log).getByText('The first.');
    within(log).getByText('Version 1 of 2');
    expect(previous.getAttribute('aria-disabled')).toBe('true');
    expect(document.activeElement).toBe(previous);
    await say.click(previous);
    within(log).getByText('The first.');
    await say.click(within(log).getByRole('button', { name: 'Next version' }));
    within(log).getByText('The second.');
  });

  it('of an answer are asked for, and shown from the moment on', async () => {
    const log = await openConversation(TWO);
    await say.click(within(log).getByRole('button', { name: 'Previous version' }));
    await say.click(within(log).getByRole('button', { name: 'Answer again' }));
    within(log).getByText('Thinking…');
    within(log).getByText('Version 3 of 3');
    await waitFor(() => expect(context.chat.framesOf('message_regenerate')).toHaveLength(1), WAIT);
    const [sent] = context.chat.framesOf('message_regenerate');
    expect(sent).not.toHaveProperty('retry');
    const third = { uuid: 'c', version: 3, created_at: '2026-01-01T10:00:20Z' };
    end('The third.', third, { ref: sent?.id, type: 'message_regenerate' });
    await within(log).findByText('The third.', undefined, WAIT);
    within(log).getByText('Version 3 of 3');
  });

  it('of a question begin a branch', async () => {
    const log = await openConversation(TWO);
    const edit = within(log).getByRole('button', { name: 'Edit question' });
    await say.click(edit);
    const editor = screen.getByRole('textbox', { name: 'Edit question' });
    expect(document.activeElement).toBe(editor);
    await say.type(editor, '{Escape}');
    await waitFor(() => {
      expect(document.activeElement).toBe(
        within(log).getByRole('button', { name: 'Edit question' }),
      );
    });
    await say.click(within(log).getByRole('button', { name: 'Edit question' }));
    const again = screen.getByRole('textbox', { name: 'Edit question' });
    await say.clear(again);
    await say.type(again, 'What breaks?{Enter}');
    await within(log).findByText('What breaks?');
    expect(within(log).queryByText('The second.')).toBeNull();
    within(log).getByText('Version 2 of 2');
    await waitFor(() => {
      expect(context.chat.framesOf('message_generate')[0]).toMatchObject({
        message: 'What breaks?',
        edits: 'q',
        conversation_uuid: 'c',
      });
    }, WAIT);
    await say.click(within(log).getByRole('button', { name: 'Previous version' }));
    within(log).getByText('The second.');
  });
});
