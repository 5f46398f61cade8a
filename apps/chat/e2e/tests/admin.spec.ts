import { once } from 'node:events';

import { type Page, expect, test as base } from '@playwright/test';

import { violations } from '../support/axe.ts';
import { WatchedServer } from '../support/watched.ts';

const test = base.extend<{ server: WatchedServer }>({
  server: async ({ browserName: _ }, give) => {
    const server = await WatchedServer.start();
    await give(server);
    await server.dispose();
  },
});

async function signIn(page: Page, server: WatchedServer): Promise<void> {
  await page.goto(server.admin);
  await page.getByLabel('API key').fill(server.key);
  await page.getByRole('button', { name: 'Use it' }).click();
  await expect(page.getByRole('heading', { name: 'One user' })).toBeVisible();
}

async function look(page: Page, user: string, seq = ''): Promise<void> {
  await page.getByLabel('User', { exact: true }).fill(user);
  await page.getByLabel('Position that they miss').fill(seq);
  await page.getByRole('button', { name: 'Look' }).click();
}

const figure = (page: Page, title: string) =>
  page.locator('#figures div').filter({ hasText: title }).locator('dd');

test('a key that is wrong opens nothing, and a right one stays in its tab', async ({
  page,
  context,
  server,
}) => {
  await page.goto(server.admin);
  await expect(page.getByRole('status').first()).toHaveText('ready');
  await page.getByLabel('API key').fill('not-the-key');
  await page.getByRole('button', { name: 'Use it' }).click();
  await expect(page.getByRole('alert')).toContainText('The API key is wrong');
  await expect(page.getByRole('heading', { name: 'One user' })).toBeHidden();
  await signIn(page, server);
  await page.reload();
  await expect(page.getByRole('heading', { name: 'One user' })).toBeVisible();
  const another = await context.newPage();
  await another.goto(server.admin);
  await expect(another.getByLabel('API key')).toBeVisible();
  expect(page.url()).not.toContain(server.key);
  await page.getByRole('button', { name: 'Forget the key' }).click();
  await expect(page.getByLabel('API key')).toBeVisible();
});

test('what happens is seen while it happens', async ({ page, server }) => {
  await signIn(page, server);
  await expect(figure(page, 'connections')).toHaveText('0');
  await expect(page.getByText('Everybody who is connected has everything.')).toBeVisible();
  const socket = await server.connect('ada', 'laptop');
  await server.publish('ada', 100);
  await expect(figure(page, 'connections')).toHaveText('1');
  await expect(figure(page, 'published / s')).not.toHaveText('0.0');
  await page.getByRole('button', { name: 'ada' }).click();
  await expect(page.getByText('newest 100, 1 to 100 are kept')).toBeVisible();
  socket.close();
});

test('it is said why a message has not arrived', async ({ page, server }) => {
  await server.publish('ada', 3);
  await signIn(page, server);
  await look(page, 'ada', '2');
  await expect(page.getByText('No device of this user is known')).toBeVisible();
  const socket = await server.connect('ada', 'laptop');
  await expect(async () => {
    await look(page, 'ada', '2');
    await expect(page.getByText('has not acknowledged it')).toBeVisible({ timeout: 500 });
  }).toPass();
  socket.send('{"type":"ack","seq":3}');
  await expect(async () => {
    await look(page, 'ada', '2');
    await expect(page.getByText('`laptop` has handled it')).toBeVisible({ timeout: 500 });
  }).toPass();
  await look(page, 'ada', '4');
  await expect(page.getByText('There is no message 4 yet')).toBeVisible();
  socket.close();
});

test('disconnecting, signing out and erasing are asked about, and carried out', async ({
  page,
  server,
}) => {
  await server.publish('ada', 3);
  await signIn(page, server);
  for (const [button, yes, code] of [
    ['Disconnect', 'Disconnect', 1012],
    ['Sign out everywhere', 'Sign out', 4401],
  ] as const) {
    const socket = await server.connect('ada', 'laptop');
    const closed = once(socket, 'close') as Promise<[number]>;
    await look(page, 'ada');
    await expect(page.getByRole('heading', { name: 'Devices' })).toBeVisible();
    await page.getByRole('button', { name: button }).click();
    await page.getByRole('button', { name: 'Leave it' }).click();
    expect(socket.readyState).toBe(socket.OPEN);
    await page.getByRole('button', { name: button }).click();
    await page.getByRole('dialog').getByRole('button', { name: yes }).click();
    expect((await closed)[0]).toBe(code);
  }
  await page.getByRole('button', { name: 'Erase …' }).click();
  const erase = page.getByRole('dialog').getByRole('button', { name: 'Erase' });
  await expect(erase).toBeDisabled();
  await page.getByLabel('Type the user’s id to go on').fill('bob');
  await expect(erase).toBeDisabled();
  await page.getByLabel('Type the user’s id to go on').fill('ada');
  await erase.click();
  await expect(page.getByText('ada was erased.')).toBeVisible();
  await expect(page.getByText('nothing is kept')).toBeVisible();
});

test('whatever a user is called is text', async ({ page, server }) => {
  await signIn(page, server);
  for (const user of ['auth0|5f7c', 'Ада', '<b>bold</b>', 'a/b?c#d', 'x'.repeat(128)]) {
    await look(page, user);
    const said = page.getByRole('status').last();
    await expect(page.getByText('newest 0').or(said.filter({ hasText: 'The user' }))).toBeVisible();
    if (await page.getByText('newest 0').isVisible()) {
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await expect(page.getByRole('dialog')).toContainText(`Disconnect ${user}?`);
      await page.getByRole('button', { name: 'Leave it' }).click();
    }
  }
  expect(await page.locator('main b, main img, dialog b').count()).toBe(0);
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['a desk', { width: 1280, height: 800 }],
    ['a phone', { width: 390, height: 844 }],
  ] as const) {
    test(`axe has nothing to complain of on ${device} in ${colorScheme}`, async ({
      page,
      server,
    }) => {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await page.goto(server.admin);
      expect(await violations(page)).toEqual([]);
      await server.publish('ada', 50);
      await signIn(page, server);
      const socket = await server.connect('ada', 'laptop');
      await expect(page.getByRole('button', { name: 'ada' })).toBeVisible();
      await look(page, 'ada', '43');
      await expect(page.getByRole('heading', { name: 'Connections' })).toBeVisible();
      expect(await violations(page)).toEqual([]);
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(sideways).toBe(0);
      await page.screenshot({ path: test.info().outputPath('admin.png'), fullPage: true });
      socket.close();
    });
  }
}
