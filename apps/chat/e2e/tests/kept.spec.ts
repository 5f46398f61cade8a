import { chromium } from '@playwright/test';

import type { Tab } from '../support/tabs/one-server.ts';
import { expect, test } from '../support/tabs/one-server.ts';

/** Leaves the page for another one of the same site, runs `meanwhile`, and comes back. */
async function leaveAndComeBack(tab: Tab, meanwhile: () => Promise<void>): Promise<void> {
  const { page } = tab;
  await page.evaluate(() => {
    window.addEventListener('pageshow', ({ persisted }) => {
      Object.assign(window, { wasKept: persisted });
    });
  });
  await page.goto(`${new URL(page.url()).origin}/frame`);
  await meanwhile();
  await page.evaluate(() => history.back());
  await page.waitForFunction(() => 'tab' in window);
}

for (const others of [0, 1]) {
  test(`a page from the back-forward cache has what came meanwhile, once, with ${String(others)} other tabs`, async ({
    delivery,
    user,
    open,
    launchOptions,
  }) => {
    const browser = await chromium.launch({
      ...launchOptions,
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
    try {
      const context = await browser.newContext();
      const tab = await open(context, { outbox: '', streams: '' });
      const fellows = others === 0 ? [] : [await open(context, { outbox: '' })];
      const ids = await delivery.publish(user, 10);
      for (const each of [tab, ...fellows]) await each.hasHandled(ids);
      await leaveAndComeBack(tab, async () => {
        ids.push(...(await delivery.publish(user, 10)));
        for (const each of fellows) await each.hasHandled(ids);
      });
      await expect.poll(() => tab.page.evaluate('window.wasKept')).toBe(true);
      await tab.hasHandled(ids);
      await tab.send([`${user}-after`]);
      await tab.hasSettled([`${user}-after`]);
      ids.push(...(await delivery.publish(user, 10)));
      for (const each of [tab, ...fellows]) await each.hasHandled(ids);
      expect(delivery.taken.filter((id) => id.startsWith(`${user}-`))).toEqual([`${user}-after`]);
    } finally {
      await browser.close();
    }
  });
}
