import { expect, test, type Page } from '@playwright/test';

import { CookieApplication } from '../support/cookie-application.ts';

interface World {
  client?: { getSnapshot: () => { status: string }; reconnect: () => void };
  statuses: string[];
}

const status = (page: Page): Promise<string | undefined> =>
  page.evaluate(() => (window as unknown as World).client?.getSnapshot().status);
const statuses = (page: Page): Promise<string[]> =>
  page.evaluate(() => (window as unknown as World).statuses);
const reconnect = (page: Page): Promise<void> =>
  page.evaluate(() => {
    (window as unknown as World).client?.reconnect();
  });

test('a page whose sign-in is a cookie connects, renews, and is signed out by nobody but its application', async ({
  page,
}) => {
  const application = await CookieApplication.start();
  try {
    await page.goto(application.origin);
    await expect.poll(() => status(page)).toBe('connected');
    const first = { token: 'cookie', cookies: 'session=s1', renewal: false };
    expect(application.asked[0]).toMatchObject(first);

    // What was said counts for 8 s: it is asked again before, over the same connection.
    await expect.poll(() => application.asked.length, { timeout: 30_000 }).toBeGreaterThan(1);
    expect(application.asked.at(-1)).toMatchObject({ ...first, renewal: true });
    expect(await statuses(page)).toEqual(['connecting', 'connected']);

    application.mood = 'is broken';
    await expect.poll(() => status(page), { timeout: 30_000 }).toBe('waiting');
    expect(await statuses(page)).not.toContain('refused');

    application.mood = 'refuses';
    await reconnect(page);
    await expect.poll(() => status(page), { timeout: 30_000 }).toBe('refused');
    expect(application.asked.at(-1), 'asked why, the page shows its cookie').toMatchObject(first);

    application.mood = 'by cookie';
    await reconnect(page);
    await expect.poll(() => status(page), { timeout: 30_000 }).toBe('connected');
  } finally {
    await application.dispose();
  }
});
