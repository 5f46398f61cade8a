import { expect, test, type Page } from '@playwright/test';

import { PrefixedSite } from '../support/prefixed.ts';

interface World {
  client?: { getSnapshot: () => { status: string }; reconnect: () => void };
  notes: number[];
}

// Its certificate is nobody's.
test.use({ ignoreHTTPSErrors: true });

const notes = (page: Page): Promise<number[]> =>
  page.evaluate(() => (window as unknown as World).notes);

test('a page reaches a server below a path of its own site, through nginx as the documents have it', async ({
  page,
}) => {
  const site = await PrefixedSite.start();
  try {
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await page.goto(`${site.origin}/index.html`);
    await expect
      .poll(() => page.evaluate(() => (window as unknown as World).client?.getSnapshot().status))
      .toBe('connected');
    await site.publish(1);
    await expect.poll(() => notes(page)).toEqual([1]);
    const below = `${site.origin.replace('https', 'wss')}/realtime/ws/user/ada`;
    expect(sockets.every((url) => url.startsWith(below))).toBe(true);
    await page.reload();
    await site.publish(2);
    await expect.poll(() => notes(page)).toContain(2);
  } finally {
    await site.dispose();
  }
});
