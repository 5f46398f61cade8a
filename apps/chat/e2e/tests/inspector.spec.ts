import { violations } from '../support/axe.ts';
import { expect, open, test } from '../support/inspector/fixtures.ts';
import { Delivery } from '../support/tabs/delivery.ts';

test('the fake server stands in for a real one: publish, cut, drain, expire', async ({
  page,
  fakeServer,
}) => {
  await open(page);
  await expect(page.getByTestId('state')).toHaveText('online');
  fakeServer.publish({ type: 'news', title: 'one' });
  await expect(page.getByTestId('titles')).toHaveText('one');

  fakeServer.cut();
  await expect(page.getByTestId('state')).toHaveText('offline');
  fakeServer.publish({ type: 'news', title: 'two' });
  fakeServer.restore();
  await expect(page.getByTestId('titles')).toHaveText('one, two');

  fakeServer.drain({ retryAfterMs: 100 });
  await expect(page.getByTestId('state')).toHaveText('offline');
  fakeServer.restore();
  await expect(page.getByTestId('state')).toHaveText('online');

  const tokenBefore = fakeServer.open[0]?.token;
  fakeServer.expireTokens();
  await expect.poll(() => fakeServer.open.length).toBe(1);
  expect(fakeServer.open[0]?.token).not.toBe(tokenBefore);

  await page.getByRole('button', { name: 'Ask' }).click();
  await expect.poll(() => fakeServer.taken.map(({ type }) => type)).toEqual(['ask']);
});

test('a page’s way to its real server can be cut, go dead, and come back', async ({
  page,
  webSocketNetwork,
}) => {
  const delivery = await Delivery.open();
  try {
    // Its page is of the origin that the server allows, and gets tokens that it takes.
    await page.goto(
      `${delivery.application}/?server=ws://127.0.0.1:${String(delivery.port)}&user=ann`,
    );
    const status = () => page.evaluate(() => window.tab.statuses.at(-1));
    const handled = () => page.evaluate(() => window.tab.calls.length);
    await expect.poll(status).toBe('connected');
    await webSocketNetwork.cut();
    await expect.poll(status).not.toBe('connected');
    await delivery.publish('ann', 3);
    expect(webSocketNetwork.open()).toBe(0);
    webSocketNetwork.restore();
    await expect.poll(handled).toBe(3);
    webSocketNetwork.halfOpen();
    await delivery.publish('ann', 2);
    expect(await handled()).toBe(3);
    expect(await status()).toBe('connected');
    await webSocketNetwork.cut();
    webSocketNetwork.restore();
    await expect.poll(handled).toBe(5);
  } finally {
    await delivery.dispose();
  }
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['a desk', { width: 1280, height: 800 }],
    ['a phone', { width: 390, height: 844 }],
  ] as const) {
    test(`the inspector on ${device} in ${colorScheme}: axe has nothing to complain of`, async ({
      page,
      fakeServer,
    }) => {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await open(page);
      await expect(page.getByTestId('state')).toHaveText('online');
      expect(await violations(page)).toEqual([]);
      fakeServer.publish({ type: 'news', title: 'one' });
      fakeServer.publish({ type: 'broken' });
      await page.getByRole('button', { name: 'Ask' }).click();
      await page.getByRole('button', { name: 'WebSocket' }).click();
      for (const view of ['Overview', 'Frames', 'Latency', 'Handlers']) {
        await page.getByRole('tab', { name: view }).click();
        expect(await violations(page)).toEqual([]);
        const sideways = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(sideways).toBe(0);
      }
      await expect(page.getByRole('row', { name: /broken/ })).toContainText('No such conversation');
    });
  }
}

test('the inspector opens by a key, yet nobody who types loses it, and the keyboard suffices', async ({
  page,
  fakeServer,
}) => {
  await open(page);
  await expect(page.getByTestId('state')).toHaveText('online');
  await page.getByRole('textbox').focus();
  await page.keyboard.press('Backquote');
  await expect(page.getByRole('textbox')).toHaveValue('`');
  await expect(page.getByRole('tab')).toHaveCount(0);
  await page.getByRole('button', { name: 'Ask' }).focus();
  await page.keyboard.press('Backquote');
  await expect(page.getByRole('tab', { name: 'Overview' })).toBeFocused();
  await page.keyboard.press('ArrowRight');
  await expect(page.getByRole('tab', { name: 'Frames' })).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: 'Cut network' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('state')).toHaveText('offline');
  fakeServer.publish({ type: 'news', title: 'meanwhile' });
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('titles')).toHaveText('meanwhile');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('tab')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Ask' })).toBeFocused();
});
