import { act, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { App } from '@/App';
import { SIGNED_OUT_NOTICE } from '@/lib/session';
import { writeUser } from '@/lib/storage';
import { signedOut } from '@/store/slices/authSlice';
import { givenChat, WAIT } from './support/app';
import { ADA } from './support/chat-server';

const context = givenChat();
const say = userEvent.setup();

const HISTORY = {
  status: 200,
  body: {
    conversation: { uuid: 'q', title: 'A bridge', updated_at: '2026-01-01T10:00:00Z' },
    messages: [
      {
        uuid: 'q',
        role: 'user',
        content: 'What holds?',
        status: 'complete',
        created_at: '2026-01-01T10:00:00Z',
      },
    ],
    as_of_seq: 0,
  },
};
const NOT_FOUND = {
  status: 404,
  body: { error: { code: 'not_found', message: 'This conversation does not exist.' } },
};

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  context.chat.answers['GET /api/conversations/q/messages'] = HISTORY;
});

function arriveAt(path: string) {
  window.history.replaceState(null, '', path);
  context.render(<App />);
}

async function fillIn(button: 'Sign in' | 'Create account') {
  if (button === 'Create account') {
    await say.type(await screen.findByLabelText('Name'), ADA.name);
  }
  await say.type(await screen.findByLabelText('E-mail'), ADA.email);
  await say.type(screen.getByLabelText('Password'), 'correct horse');
  await say.click(screen.getByRole('button', { name: button }));
}

describe('a link to a conversation', () => {
  // Whoever had to sign in first was left at the start of a new conversation.
  it('leads there after signing in', async () => {
    arriveAt('/c/q');
    await fillIn('Sign in');
    await screen.findByText('What holds?', undefined, WAIT);
    expect(window.location.pathname + window.location.search).toBe('/c/q');
  });

  it('leads there after signing up', async () => {
    arriveAt('/c/q');
    await say.click(await screen.findByRole('link', { name: 'Create an account' }));
    await fillIn('Create account');
    await screen.findByText('What holds?', undefined, WAIT);
    expect(window.location.pathname + window.location.search).toBe('/c/q');
  });

  it('is not forgotten when a sign-in has ended', async () => {
    writeUser(ADA);
    arriveAt('/c/q');
    await screen.findByText('What holds?', undefined, WAIT);
    act(() => void context.store.dispatch(signedOut({ notice: SIGNED_OUT_NOTICE })));
    await fillIn('Sign in');
    await screen.findByText('What holds?', undefined, WAIT);
  });

  it('is not what the next person sees after somebody signed out', async () => {
    writeUser(ADA);
    arriveAt('/c/q');
    await screen.findByText('What holds?', undefined, WAIT);
    await say.click(screen.getByRole('button', { name: /Account/ }));
    await say.click(screen.getByRole('menuitem', { name: 'Sign out' }));
    await screen.findByRole('button', { name: 'Sign in' });
    expect(window.location.pathname + window.location.search).toBe('/sign-in');
  });

  it.each([
    'https://evil.example/c/q',
    '//evil.example/c/q',
    '/\\evil.example',
    'javascript:alert(1)',
    '/c/../sign-up',
    '/api/auth/sign-out',
  ])('that says %s leads nowhere', async (next) => {
    arriveAt(`/sign-in?next=${encodeURIComponent(next)}`);
    await fillIn('Sign in');
    await screen.findByText('Ask away, Ada.', undefined, WAIT);
    expect(window.location.pathname + window.location.search).toBe('/');
  });
});

// It was a new conversation that never got an address.
it('an address that is none of ours leads to a new conversation', async () => {
  writeUser(ADA);
  arriveAt('/nowhere');
  await screen.findByText('Ask away, Ada.', undefined, WAIT);
  expect(window.location.pathname).toBe('/');
});

describe('a conversation that does not exist', () => {
  // It said that the network was at fault, and took a question.
  it('says so, takes no question, and leads out', async () => {
    context.chat.answers['GET /api/conversations/q/messages'] = NOT_FOUND;
    writeUser(ADA);
    arriveAt('/c/q');
    await screen.findByText('Conversation not found', undefined, WAIT);
    expect(screen.queryByRole('textbox', { name: 'Message' })).toBeNull();
    expect(screen.queryByRole('button', { name: 'Try again' })).toBeNull();
    await say.click(screen.getByRole('button', { name: 'Start a new conversation' }));
    await screen.findByText('Ask away, Ada.');
    const box = screen.getByRole('textbox', { name: 'Message' });
    await waitFor(() => expect(document.activeElement).toBe(box));
  });

  it.each([
    [404, undefined],
    [503, undefined],
    [404, '<h1>Not Found</h1>'],
  ])('is another thing than one that does not load: %i %s', async (status, body) => {
    context.chat.answers['GET /api/conversations/q/messages'] = { status, body };
    writeUser(ADA);
    arriveAt('/c/q');
    await screen.findByText('This conversation did not load', undefined, WAIT);
    screen.getByRole('textbox', { name: 'Message' });
    context.chat.answers['GET /api/conversations/q/messages'] = HISTORY;
    await say.click(screen.getByRole('button', { name: 'Try again' }));
    await screen.findByText('What holds?', undefined, WAIT);
  });
});
