import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, vi } from 'vitest';
import { AppProviders } from '@/components/providers/AppProviders';
import { writeUser } from '@/lib/storage';
import { type AppStore, createStore } from '@/store';
import { ADA, ScriptedChat } from './chat-server';

/** A chat server per test, which the page takes for its own origin. */
export function givenChat() {
  const context = {
    chat: undefined as unknown as ScriptedChat,
    store: undefined as unknown as AppStore,
    app: (children: ReactNode) => <AppProviders store={context.store}>{children}</AppProviders>,
    /** Renders within the real providers. */
    render: (children: ReactNode) => render(context.app(children)),
    /** The same, with Ada remembered from before and her connection open. */
    async renderConnected(children: ReactNode) {
      writeUser(ADA);
      const rendered = context.render(children);
      await vi.waitFor(() => {
        if (context.chat.framesOf('get_pending').length === 0) {
          throw new Error('The page has not connected.');
        }
      }, WAIT);
      return rendered;
    },
  };
  beforeEach(async () => {
    context.chat = await ScriptedChat.start();
    serveFrom(context.chat.url);
    window.history.replaceState(null, '', '/');
    localStorage.clear();
    context.store = createStore();
  });
  afterEach(() => context.chat.stop());
  return context;
}

const reach = globalThis.fetch;
const PageWebSocket = globalThis.WebSocket;

/** A page in jsdom cannot move to another origin, so what it asks of its own is asked there. */
function serveFrom(origin: string): void {
  const there = (address: string | URL) => {
    const { protocol, pathname, search } = new URL(address, window.location.href);
    const url = new URL(`${pathname}${search}`, origin);
    url.protocol = protocol;
    return url;
  };
  // Node's fetch does not take jsdom's signals and headers.
  vi.stubGlobal('fetch', (path: string | URL, { signal: _, headers, ...init }: RequestInit = {}) =>
    reach(there(path), { ...init, headers: Object.fromEntries(new Headers(headers)) }),
  );
  vi.stubGlobal(
    'WebSocket',
    class extends PageWebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(there(url), protocols);
      }
    },
  );
}

/** For conditions that come over a real socket. */
export const WAIT = { timeout: 10_000, interval: 5 };
