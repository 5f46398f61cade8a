import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, vi } from 'vitest';
import { AppProviders } from '@/components/providers/AppProviders';
import { writeUser } from '@/lib/storage';
import { type AppStore, createStore } from '@/store';
import { ADA, ScriptedChat } from './chat-server';

/** Vitest puts the page's JSDOM there. */
declare const jsdom: { reconfigure: (settings: { url: string }) => void };

/** A chat server per test; the page is on its origin. */
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
    jsdom.reconfigure({ url: `${context.chat.url}/` });
    localStorage.clear();
    context.store = createStore();
  });
  afterEach(() => context.chat.stop());
  return context;
}

/** For conditions that come over a real socket. */
export const WAIT = { timeout: 10_000, interval: 5 };
