import { test as base, type BrowserContext, type BrowserContextOptions } from '@playwright/test';

import { Chat } from './chat.ts';
import { Network } from './network.ts';
import { Person } from './person.ts';
import { ScriptedProvider } from './provider.ts';

interface World {
  provider: ScriptedProvider;
  /** The way by which everybody reaches the server, unless they take the other one. */
  network: Network;
  otherNetwork: Network;
  chat: Chat;
  /** Opens the application in a browser profile of its own. */
  arrive: (options?: BrowserContextOptions & { by?: Network }) => Promise<Person>;
}

/** A chat server, a network that a test can cut, and a model whose answers a test decides. */
export const test = base.extend<World>({
  // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern here
  provider: async ({}, provide) => {
    const provider = await ScriptedProvider.open();
    await provide(provider);
    provider.dispose();
  },
  // eslint-disable-next-line no-empty-pattern -- as above
  network: async ({}, provide) => {
    const network = await Network.open();
    await provide(network);
    await network.cut();
  },
  // eslint-disable-next-line no-empty-pattern -- as above
  otherNetwork: async ({}, provide) => {
    const network = await Network.open();
    await provide(network);
    await network.cut();
  },
  chat: async ({ provider, network, otherNetwork }, provide) => {
    const chat = await Chat.prepare({
      allowOrigins: [network.origin, otherNetwork.origin],
      providerUrl: provider.url,
    });
    await chat.start();
    await provide(chat);
    await chat.dispose();
  },
  arrive: async ({ browser, chat, network, otherNetwork }, provide) => {
    network.leadTo(chat.port);
    otherNetwork.leadTo(chat.port);
    const contexts: BrowserContext[] = [];
    await provide(async ({ by = network, ...options } = {}) => {
      const context = await browser.newContext(options);
      contexts.push(context);
      return Person.arrive(await context.newPage(), by.origin);
    });
    for (const context of contexts) await context.close();
  },
});

export { expect } from '@playwright/test';
