import { test as base, type BrowserContext, type Page } from '@playwright/test';

import { Delivery } from './delivery.ts';
import { expect, Tab } from './fixtures.ts';

interface World {
  /** A user of this test alone. */
  user: string;
  /** Opens a tab in which that user is signed in. */
  open: (context: BrowserContext, options?: Record<string, string>) => Promise<Tab>;
}

let users = 0;

/** One delivery server for all tests of a file, each of which has a user of its own. */
export const test = base.extend<World, { delivery: Delivery }>({
  delivery: [
    // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern here
    async ({}, provide) => {
      const delivery = await Delivery.open();
      await provide(delivery);
      await delivery.dispose();
    },
    { scope: 'worker' },
  ],
  // eslint-disable-next-line no-empty-pattern -- see above
  user: async ({}, provide) => {
    users += 1;
    await provide(`user-${String(users)}`);
  },
  open: async ({ delivery, user }, provide) => {
    await provide(async (context, options) => {
      const page = await context.newPage();
      await page.goto(delivery.tab(user, options));
      const tab = new Tab(page);
      await tab.isConnected();
      return tab;
    });
  },
});

/** The tab that is a frame in a page of another site. */
export async function framedTab(page: Page, address: string): Promise<Tab> {
  await page.goto(address);
  const frame = await (await page.waitForSelector('iframe')).contentFrame();
  const tab = new Tab(page, frame!);
  await frame!.waitForFunction(() => 'tab' in window);
  await tab.isConnected();
  return tab;
}

/** What is published comes to each of these tabs once, and what each sends is taken once. */
export async function allComesOnce(tabs: Tab[], delivery: Delivery, user: string): Promise<void> {
  const ids = await delivery.publish(user, 20);
  for (const tab of tabs) await tab.hasHandled(ids);
  const sends = tabs.map((_, index) => [
    `${user}-${String(index)}-a`,
    `${user}-${String(index)}-b`,
  ]);
  for (const [index, tab] of tabs.entries()) {
    await tab.send(sends[index]!);
    await tab.hasSettled(sends[index]!);
  }
  const taken = delivery.taken.filter((id) => id.startsWith(`${user}-`));
  expect(taken.toSorted()).toEqual(sends.flat().toSorted());
}

export { expect, Tab };
