import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { App } from '@/App';
import { createSession } from '@/lib/session';
import { readUser } from '@/lib/storage';
import { userRestored } from '@/store/slices/authSlice';
import { givenChat, WAIT } from './support/app';
import { ADA, session } from './support/chat-server';

const context = givenChat();
const say = userEvent.setup();

beforeEach(() => {
  // Refusals are logged as well.
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

async function openChat() {
  await context.renderConnected(<App />);
  await screen.findByText('Connected', undefined, WAIT);
  return screen.findByRole('textbox', { name: 'Message' });
}

/** Asks, and returns the id that went over the wire. */
async function ask(text: string): Promise<string> {
  await say.type(screen.getByRole('textbox', { name: 'Message' }), `${text}{Enter}`);
  await waitFor(() => {
    expect(context.chat.framesOf('message_generate').at(-1)?.message).toBe(text);
  }, WAIT);
  return context.chat.framesOf('message_generate').at(-1)?.id as string;
}

function about(question: string, content: string, more: object = {}) {
  return {
    conversation_uuid: question,
    conversation: { uuid: question, title: 'A title', updated_at: '2026-01-01T10:00:00Z' },
    message: {
      uuid: question,
      role: 'user',
      content,
      status: 'complete',
      created_at: '2026-01-01T10:00:00Z',
      ...more,
    },
  };
}

function answerTo(question: string, content: string, more: object = {}) {
  return about(question, content, {
    uuid: `answer-${question}`,
    role: 'assistant',
    reply_to: question,
    created_at: '2026-01-01T10:00:05Z',
    ...more,
  });
}

describe('signing in', () => {
  async function submit(password = 'correct horse') {
    context.render(<App />);
    await say.type(screen.getByLabelText('E-mail'), ADA.email);
    await say.type(screen.getByLabelText('Password'), password);
    await say.click(screen.getByRole('button', { name: 'Sign in' }));
  }

  it('leads to the chat; only the user is stored', async () => {
    await submit();
    await screen.findByText('Connected', undefined, WAIT);
    expect(readUser()).toEqual(ADA);
    expect(JSON.stringify(Object.entries(localStorage))).not.toContain(`token-of-${ADA.uuid}`);
    expect(context.store.getState().auth).toMatchObject({ accessToken: `token-of-${ADA.uuid}` });
  });

  it('shows what the server refuses', async () => {
    context.chat.answers['POST /api/auth/sign-in'] = {
      status: 401,
      body: { error: { code: 'wrong_credentials', message: 'E-mail or password is wrong.' } },
    };
    await submit();
    await waitFor(() => {
      expect(screen.getByRole('alert').textContent).toBe('E-mail or password is wrong.');
    });
  });

  it('says so when the server cannot be reached', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('fetch failed')));
    await submit();
    await screen.findByText(/The server cannot be reached/);
  });

  it('shows a refusal at the field it is about, and moves there', async () => {
    context.chat.answers['POST /api/auth/sign-up'] = {
      status: 409,
      body: { error: { code: 'email_taken', message: 'This e-mail already has an account.' } },
    };
    context.render(<App />);
    await say.click(screen.getByRole('link', { name: 'Create an account' }));
    await say.type(screen.getByLabelText('Name'), 'Ada');
    await say.type(screen.getByLabelText('E-mail'), ADA.email);
    await say.type(screen.getByLabelText('Password'), 'correct horse');
    await say.click(screen.getByRole('button', { name: 'Create account' }));
    await screen.findByText('This e-mail already has an account.');
    const email = screen.getByLabelText('E-mail');
    expect(email.getAttribute('aria-invalid')).toBe('true');
    expect(document.activeElement).toBe(email);
  });
});

describe('asking', () => {
  it('shows the question at once, once, and the answer when it comes', async () => {
    await openChat();
    const id = await ask('What holds?');
    const log = screen.getByRole('log');
    within(log).getByText('What holds?');
    context.chat.publish({ type: 'message_created', ...about(id, 'What holds?') });
    await waitFor(() => expect(window.location.pathname).toBe(`/c/${id}`), WAIT);
    await within(log).findByText('Thinking…');
    context.chat.publish({ type: 'message_generate', ...answerTo(id, 'The rope.') });
    await within(log).findByText('The rope.', undefined, WAIT);
    expect(within(log).getAllByText('What holds?')).toHaveLength(1);
    expect(within(log).queryByText('Thinking…')).toBeNull();
  });

  it('offers to send again what the server refused', async () => {
    context.chat.accepts = false;
    await openChat();
    const id = await ask('Too fast?');
    context.chat.send({
      type: 'error',
      ref: id,
      code: 'rejected',
      message: 'Not today.',
      retryable: false,
    });
    await screen.findByText('Not sent. Not today.', undefined, WAIT);
    context.chat.accepts = true;
    await say.click(screen.getByRole('button', { name: 'Send again' }));
    await waitFor(() => expect(context.chat.framesOf('message_generate')).toHaveLength(2), WAIT);
    expect(context.chat.framesOf('message_generate')[1]?.id).not.toBe(id);
    expect(within(screen.getByRole('log')).getAllByText('Too fast?')).toHaveLength(1);
  });

  it('shows why an answer failed, and has it written again', async () => {
    await openChat();
    const id = await ask('Are you there?');
    const error = { code: 'provider', message: 'The provider is down.' };
    context.chat.publish({ type: 'message_created', ...about(id, 'Are you there?') });
    context.chat.publish({
      type: 'message_generate',
      ...answerTo(id, '', { status: 'failed', error }),
    });
    await screen.findByText('The provider is down.', undefined, WAIT);
    await say.click(screen.getByRole('button', { name: 'Retry' }));
    await waitFor(() => {
      expect(context.chat.framesOf('message_regenerate')[0]).toMatchObject({
        conversation_uuid: id,
        message_uuid: `answer-${id}`,
      });
    }, WAIT);
    context.chat.publish({ type: 'message_regenerate', ...answerTo(id, 'I am back.') });
    await screen.findByText('I am back.', undefined, WAIT);
    expect(screen.queryByText('The provider is down.')).toBeNull();
  });

  it('starts a new line with Shift, and does not send what is too long', async () => {
    const box = await openChat();
    await say.type(box, 'one{Shift>}{Enter}{/Shift}two');
    expect((box as HTMLTextAreaElement).value).toBe('one\ntwo');
    await say.clear(box);
    await say.click(box);
    await say.paste('x'.repeat(8_001));
    await screen.findByText(/1 character too long/);
    await say.keyboard('{Enter}');
    expect(context.chat.framesOf('message_generate')).toEqual([]);
  });

  it('renders Markdown, but neither HTML nor links that run', async () => {
    await openChat();
    const id = await ask('Show me');
    const text =
      '**bold** <b>raw</b> [bad](javascript:alert) [good](https://example.org) ![p](https://x.y/z)';
    context.chat.publish({ type: 'message_generate', ...answerTo(id, text) });
    const log = screen.getByRole('log');
    await within(log).findByText('bold', undefined, WAIT);
    const links = within(log).getAllByRole('link');
    expect(links.map((link) => link.getAttribute('href'))).toEqual([
      'https://example.org',
      'https://x.y/z',
    ]);
    expect(links[0]?.getAttribute('rel')).toContain('noopener');
    expect(log.querySelector('b, img')).toBeNull();
  });
});

describe('the connection', () => {
  it('is shown when it is lost, and what was asked then goes out later, once', async () => {
    await openChat();
    const id = await ask('Before');
    context.chat.publish({ type: 'message_created', ...about(id, 'Before') });
    context.chat.hangUp();
    await screen.findByText('Offline — reconnecting', undefined, WAIT);
    await screen.findByText('Connected', undefined, WAIT);
    await ask('After');
    expect(context.chat.framesOf('message_generate').map(({ message }) => message)).toEqual([
      'Before',
      'After',
    ]);
  });
});

describe('signing out', () => {
  it('hangs up and forgets', async () => {
    await openChat();
    await ask('My secret');
    await say.click(screen.getByRole('button', { name: /Account/ }));
    await say.click(screen.getByRole('menuitem', { name: 'Sign out' }));
    await screen.findByRole('button', { name: 'Sign in' });
    expect(screen.queryByText('My secret')).toBeNull();
    expect(readUser()).toBeNull();
    await waitFor(() => {
      expect(context.chat.sockets.every((socket) => socket.readyState === socket.CLOSED)).toBe(
        true,
      );
    }, WAIT);
    expect(context.chat.requests).toContain('POST /api/auth/sign-out');
  });

  it('in another tab ends this one too', async () => {
    await openChat();
    localStorage.clear();
    window.dispatchEvent(new StorageEvent('storage', { key: null }));
    await screen.findByText('You signed out in another tab.');
  });

  it('by the server says so', async () => {
    context.chat.answers['POST /api/auth/refresh'] = {
      status: 401,
      body: { error: { code: 'signed_out', message: 'Sign in again.' } },
    };
    context.store.dispatch(userRestored(ADA));
    context.render(<App />);
    await screen.findByText('Your sign-in has ended. Please sign in again.', undefined, WAIT);
  });
});

describe('the access token', () => {
  it('is refreshed once for everybody who asks', async () => {
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    const tokens = await Promise.all([auth.getToken(), auth.getToken(), auth.getToken()]);
    expect(new Set(tokens)).toEqual(new Set([`token-of-${ADA.uuid}`]));
    await auth.getToken();
    expect(context.chat.requests).toEqual(['POST /api/auth/refresh']);
  });

  it('of somebody else ends the first session before the second begins', async () => {
    const grace = { uuid: 'user-grace', name: 'Grace', email: 'grace@example.org' };
    context.chat.answers['POST /api/auth/refresh'] = session(grace);
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    expect(await auth.getToken()).toBeNull();
    expect(context.store.getState().auth).toMatchObject({ phase: 'signed_in', user: grace });
  });
});
