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
  const said = page.getByRole('status').last();
  const users = [
    'auth0|5f7c',
    'Ада',
    '<img src=x onerror=document.title="owned">',
    '"><script>document.title="owned"',
    'a?b=c&d#e;f',
    '%2F..%2Fada',
    '...',
    ' a b ',
    'x',
    'x'.repeat(255),
  ];
  for (const user of users) {
    const socket = await server.connect(user, 'laptop');
    await server.publish(user, 1);
    await look(page, user, '1');
    await expect(page.getByText('newest 1, 1 to 1 are kept')).toBeVisible();
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await expect(page.getByRole('heading', { name: `Disconnect ${user}?` })).toBeVisible();
    const closed = once(socket, 'close') as Promise<[number]>;
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    expect((await closed)[0]).toBe(1012);
    await expect(said).toContainText('was disconnected');
  }
  // What turns the writing direction around is shown as what it is, and erased as what it is.
  const turned = '\u202egro.elpmaxe@ada';
  await server.publish(turned, 1);
  await look(page, turned);
  await page.getByRole('button', { name: 'Erase …' }).click();
  await expect(page.getByRole('dialog')).toContainText(String.raw`Erase \u{202e}gro.elpmaxe@ada?`);
  await page.getByLabel('Type the user’s id to go on').fill(turned);
  await page.getByRole('dialog').getByRole('button', { name: 'Erase' }).click();
  await expect(page.getByText('nothing is kept')).toBeVisible();
  for (const nobody of ['.', '..', 'a/b', '../ada', String.raw`a\b`]) {
    await look(page, nobody);
    await expect(said).toContainText(/is no user|The user/);
    await expect(page.getByRole('button', { name: 'Erase …' })).toBeHidden();
  }
  await expect(page).toHaveTitle('Tetherline');
  expect(await page.locator('main b, main img, main script, dialog img').count()).toBe(0);
});

test('one connection of several is closed, and the others stay', async ({ page, server }) => {
  await signIn(page, server);
  const laptop = await server.connect('ada', 'laptop');
  const phone = await server.connect('ada', 'phone');
  await look(page, 'ada');
  const row = page.getByRole('row').filter({ hasText: 'phone' }).filter({ hasText: '127.0.0.1' });
  const closed = once(phone, 'close') as Promise<[number]>;
  await row.getByRole('button', { name: 'Close the connection' }).click();
  await expect(page.getByRole('dialog')).toContainText('of phone is closed');
  await page.getByRole('dialog').getByRole('button', { name: 'Close it' }).click();
  expect((await closed)[0]).toBe(1012);
  await expect(page.getByText('One connection of ada was closed.')).toBeVisible();
  expect(laptop.readyState).toBe(laptop.OPEN);
  laptop.close();
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
