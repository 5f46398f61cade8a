import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { TetherlineError } from 'tetherline';
import { mockWebSocketContext } from 'tetherline/testing';
import { App } from '@/App';
import { WebSocketContext } from '@/contexts/WebSocketContext';
import { useAsking } from '@/hooks/use-asking';
import { createSession } from '@/lib/session';
import { readUser, writeUser } from '@/lib/storage';
import { userRestored } from '@/store/slices/authSlice';
import { conversationOpened } from '@/store/slices/conversationSlice';
import { givenChat, WAIT } from './support/app';
import { ADA, session } from './support/chat-server';

const GRACE = { uuid: 'user-grace', name: 'Grace', email: 'grace@example.org' };

const context = givenChat();
const say = userEvent.setup();

// What is shown of the connection; the same words are there again to be read out.
const SHOWN = { selector: '[aria-hidden]' };

beforeEach(() => {
  // Refusals are logged as well.
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

async function openChat() {
  await context.renderConnected(<App />);
  await screen.findByText('Connected', SHOWN, WAIT);
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
    await screen.findByText('Connected', SHOWN, WAIT);
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

  it('says so when what answers is not the server', async () => {
    // A hotel's sign-in page, say: it answers everything with 200.
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('<h1>Welcome</h1>')));
    await submit();
    await waitFor(() => {
      expect(screen.getByRole('alert').textContent).toMatch(/The server could not do this/);
    });
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
    // It was said a second time by a toast, which lay on the first.
    expect(screen.queryByText('Not today.')).toBeNull();
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

  it('says so when an answer cannot be asked for again', async () => {
    const full = new TetherlineError('outbox_full', 'Too many messages wait to be sent.');
    const websocket = mockWebSocketContext({ send: () => Promise.reject(full) });
    const Again = () => {
      const { regenerate } = useAsking();
      return <button onClick={() => regenerate('a', 'c')}>Again</button>;
    };
    context.render(
      <WebSocketContext.Provider value={websocket}>
        <Again />
      </WebSocketContext.Provider>,
    );
    await say.click(screen.getByRole('button', { name: 'Again' }));
    await screen.findByText('Too many messages wait to be sent.');
    expect(context.store.getState().conversation.regenerations).toEqual({ c: [] });
  });

  it('keeps the old answer when writing it anew fails, and says why', async () => {
    await openChat();
    const id = await ask('Are you there?');
    const error = { code: 'provider', message: 'The provider is down.' };
    context.chat.publish({ type: 'message_generate', ...answerTo(id, 'I am **here**.') });
    await screen.findByText('here', undefined, WAIT);
    context.chat.publish({
      type: 'message_regenerate',
      ...answerTo(id, 'I am **here**.', { status: 'failed', error }),
    });
    await screen.findByText('The provider is down.', undefined, WAIT);
    within(screen.getByRole('log')).getByText('here');
    screen.getByRole('button', { name: 'Copy answer' });
  });

  it('sends what went stale under its old id, so that it cannot be there twice', async () => {
    const stale = new TetherlineError('expired', 'It could not be sent in time.', {
      retryable: true,
    });
    const websocket = mockWebSocketContext({ send: vi.fn(() => Promise.reject(stale)) });
    writeUser(ADA);
    context.render(
      <WebSocketContext.Provider value={websocket}>
        <App />
      </WebSocketContext.Provider>,
    );
    await say.type(await screen.findByRole('textbox', { name: 'Message' }), 'Old?{Enter}');
    await say.click(await screen.findByRole('button', { name: 'Send again' }));
    const ids = vi.mocked(websocket.send).mock.calls.map(([{ id }]) => id);
    expect(ids).toHaveLength(2);
    expect(ids[1]).toBe(ids[0]);
    expect(within(screen.getByRole('log')).getAllByText('Old?')).toHaveLength(1);
  });

  it('lists a conversation that the server does not know yet', async () => {
    context.chat.accepts = false;
    await openChat();
    const id = await ask('Do not lose me');
    await say.click(screen.getByRole('link', { name: 'New conversation' }));
    expect(screen.queryByRole('log')).toBeNull();
    const list = screen.getByRole('navigation', { name: 'Conversations' });
    await say.click(within(list).getByRole('link', { name: /Do not lose me/ }));
    within(screen.getByRole('log')).getByText('Do not lose me');
    context.chat.send({
      type: 'error',
      ref: id,
      code: 'rejected',
      message: 'Not today.',
      retryable: false,
    });
    await say.click(await screen.findByRole('button', { name: 'Discard' }, WAIT));
    await screen.findByText('Ask away, Ada.');
    expect(within(list).queryByRole('link')).toBeNull();
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
    await screen.findByText('Connected', SHOWN, WAIT);
    await ask('After');
    expect(context.chat.framesOf('message_generate').map(({ message }) => message)).toEqual([
      'Before',
      'After',
    ]);
  });

  it('that cannot be is not said to be coming', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    vi.spyOn(WebAssembly, 'Instance').mockImplementation(() => {
      throw new WebAssembly.RuntimeError('out of memory');
    });
    writeUser(ADA);
    context.render(<App />);
    await screen.findByText('Not connected', SHOWN);
  });

  it('is tried at once when the person asks for it', async () => {
    await openChat();
    context.chat.isAway = true;
    context.chat.hangUp();
    const badge = screen.getByTestId('connection-status');
    await waitFor(() => expect(badge.textContent).toMatch(/attempt [2-9]/), WAIT);
    context.chat.isAway = false;
    // The server has asked for an hour's patience.
    await say.click(within(badge).getByRole('button', { name: 'Try now' }));
    await screen.findByText('Connected', SHOWN, WAIT);
    expect(within(badge).queryByRole('button')).toBeNull();
  });

  it('brings what could not be read without it', async () => {
    const conversations = context.chat.answers['GET /api/conversations'];
    context.chat.answers['GET /api/conversations'] = { status: 503 };
    await openChat();
    await screen.findByText(/The server cannot be reached/);
    context.chat.answers['GET /api/conversations'] = conversations;
    context.chat.hangUp();
    await screen.findByText(/No conversations yet/, undefined, WAIT);
  });
});

describe('a conversation whose history does not load', () => {
  it('says that there is more than what came over the connection', async () => {
    window.history.replaceState(null, '', '/c/q');
    context.chat.answers['GET /api/conversations/q/messages'] = { status: 503 };
    await openChat();
    await screen.findByText('This conversation did not load');
    context.chat.publish({ type: 'message_generate', ...answerTo('q', 'The latest.') });
    await screen.findByText('The latest.', undefined, WAIT);
    await screen.findByText(/Earlier messages did not load/);
    context.chat.answers['GET /api/conversations/q/messages'] = {
      status: 200,
      body: {
        conversation: about('q', '').conversation,
        messages: [about('q', 'The first.').message],
        as_of_seq: 0,
      },
    };
    await say.click(screen.getByRole('button', { name: 'Try again' }));
    await screen.findByText('The first.', undefined, WAIT);
    expect(screen.queryByText(/Earlier messages did not load/)).toBeNull();
    screen.getByText('The latest.');
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
    // Whoever has signed in from another tab meanwhile stays.
    expect(context.chat.requests).toContain(`POST /api/auth/sign-out?user=${ADA.uuid}`);
  });

  it('takes the notices away', async () => {
    await openChat();
    context.chat.send({ type: 'error', code: 'x', message: 'About Ada only.', retryable: false });
    await screen.findByText('About Ada only.', undefined, WAIT);
    await say.click(screen.getByRole('button', { name: /Account/ }));
    await say.click(screen.getByRole('menuitem', { name: 'Sign out' }));
    // By themselves they go after four seconds.
    await waitFor(() => expect(screen.queryByText('About Ada only.')).toBeNull(), {
      timeout: 2_000,
    });
  });

  it('elsewhere is noticed when the page comes back from the back-forward cache', async () => {
    await openChat();
    // A page that is cached is told of no change of the storage.
    localStorage.clear();
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    await screen.findByText('You signed out in another tab.');
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
  // A proxy with a password of its own, or a login page in front: the person was signed out.
  it.each([
    [401, '<h1>401 Authorization Required</h1>'],
    [403, '<h1>403 Forbidden</h1>'],
    [401, '{"error":{"code":"no_session","message":"Sign in to the gateway."}}'],
    [200, '<form>Sign in</form>'],
  ])('is asked for again when something in between answers %i: %s', async (status, body) => {
    const answers = [() => new Response(body, { status }), () => Response.json(session(ADA).body)];
    vi.stubGlobal('fetch', () => Promise.resolve(answers.shift()?.()));
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    await expect(auth.getToken()).rejects.toThrow();
    expect(context.store.getState().auth.phase).toBe('signed_in');
    expect(await auth.getToken()).toBe(`token-of-${ADA.uuid}`);
  });

  it('of one person is never waited for by the next', async () => {
    const answers: ((response: Response) => void)[] = [];
    vi.stubGlobal('fetch', () => new Promise<Response>((answer) => answers.push(answer)));
    const answer = (index: number, status: number, body: unknown) =>
      answers[index]?.(new Response(JSON.stringify(body), { status }));
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    const ofAda = auth.getToken({ fresh: true }).catch(() => 'given up');
    const signedIn = auth.signIn({ email: GRACE.email, password: 'correct horse' });
    answer(1, 200, session(GRACE).body);
    await signedIn;
    const ofGrace = auth.getToken({ fresh: true });
    // Late, and about a sign-in that is over.
    answer(0, 401, { error: { code: 'signed_out', message: 'Sign in again.' } });
    answer(2, 200, session(GRACE).body);
    expect(await ofGrace).toBe(`token-of-${GRACE.uuid}`);
    expect(await ofAda).not.toBe(`token-of-${GRACE.uuid}`);
    expect(context.store.getState().auth).toMatchObject({ phase: 'signed_in', user: GRACE });
  });

  it('of a sign-in that another tab overtook carries nothing over', async () => {
    // The form of this tab was on its way when another tab signed somebody else in.
    context.store.dispatch(userRestored(ADA));
    context.store.dispatch(conversationOpened('of-ada'));
    context.chat.answers['POST /api/auth/sign-in'] = session(GRACE);
    await createSession(context.store).signIn({ email: GRACE.email, password: 'correct horse' });
    expect(context.store.getState()).toMatchObject({
      auth: { phase: 'signed_in', user: GRACE },
      conversation: { current: null },
    });
  });

  it('is refreshed once for everybody who asks', async () => {
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    const tokens = await Promise.all([auth.getToken(), auth.getToken(), auth.getToken()]);
    expect(new Set(tokens)).toEqual(new Set([`token-of-${ADA.uuid}`]));
    await auth.getToken();
    expect(context.chat.requests).toEqual(['POST /api/auth/refresh']);
  });

  it('of somebody else ends the first session before the second begins', async () => {
    context.chat.answers['POST /api/auth/refresh'] = session(GRACE);
    context.store.dispatch(userRestored(ADA));
    const auth = createSession(context.store);
    expect(await auth.getToken()).toBeNull();
    expect(context.store.getState().auth).toMatchObject({ phase: 'signed_in', user: GRACE });
  });
});
