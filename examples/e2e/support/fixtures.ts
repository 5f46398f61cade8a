import { randomBytes } from 'node:crypto';

import { test as base, expect, type BrowserContext, type Page } from '@playwright/test';

import { Example } from './example.ts';
import { Person } from './person.ts';

export interface ExampleOptions {
  /** Where it is installed and built, below the folder that TETHERLINE_EXAMPLES names. */
  folder: string;
  /** Whose README says how it is started. */
  readme: string;
  /** The major version of React that it has. */
  react: string;
}

interface World {
  /** A name that nobody else has. */
  name: (name: string) => string;
  /** A page in a browser profile of its own. */
  open: () => Promise<Page>;
  /** The same, with somebody signed in and connected. */
  arrive: (name: string) => Promise<Person>;
}

/** One of the examples, started as its README says. */
export const test = base.extend<World, ExampleOptions & { example: Example }>({
  folder: ['', { option: true, scope: 'worker' }],
  readme: ['', { option: true, scope: 'worker' }],
  react: ['', { option: true, scope: 'worker' }],
  example: [
    async ({ folder, readme }, provide) => {
      const example = await Example.start(folder, readme);
      await provide(example);
      await example.dispose();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern here
  name: async ({}, provide) => {
    const run = randomBytes(4).toString('hex');
    await provide((name) => `${name}${run}`);
  },
  open: async ({ browser, example }, provide) => {
    const contexts: BrowserContext[] = [];
    await provide(async () => {
      const context = await browser.newContext({ baseURL: example.origin });
      contexts.push(context);
      return context.newPage();
    });
    for (const context of contexts) await context.close();
    await example.network.restore();
  },
  arrive: async ({ open }, provide) => {
    await provide(async (name) => {
      const person = await Person.arrive(await open());
      await person.signIn(name);
      await expect(person.connection).toHaveText('Live');
      return person;
    });
  },
});

export { expect };
