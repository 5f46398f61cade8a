import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { violations } from '../../apps/chat/e2e/support/axe.ts';
import { expect, test } from './support/fixtures.ts';
import { Person } from './support/person.ts';

test('it has the React that it is tested with', async ({ example, react }) => {
  const found = await readFile(join(example.folder, 'node_modules/react/package.json'), 'utf8');
  expect((JSON.parse(found) as { version: string }).version).toMatch(new RegExp(`^${react}\\.`));
});

test('two people write to each other, and the console has nothing to say', async ({
  arrive,
  name,
}) => {
  const [ada, grace] = [await arrive(name('ada')), await arrive(name('grace'))];

  await ada.write(name('grace'), 'Have you seen the moth?');
  await expect(grace.notes).toHaveText([`${name('ada')} Have you seen the moth?`]);
  await grace.write(name('ada'), 'It is in the log book.');
  await expect(ada.notes).toHaveText([
    `to ${name('grace')} Have you seen the moth?`,
    `${name('grace')} It is in the log book.`,
  ]);

  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(ada.page.getByLabel('Your name')).toBeVisible();
  // Not a warning, not an error, and no mismatch between what was rendered where.
  expect([...ada.complaints, ...grace.complaints]).toEqual([]);
});

test('what is published and written while the network is gone arrives once', async ({
  arrive,
  example,
  name,
}) => {
  const [ada, grace] = [await arrive(name('ada')), await arrive(name('grace'))];
  const told = (text: string) => ({ type: 'note_new', from: 'office', to: name('grace'), text });
  await example.publish(name('grace'), told('before'));
  await expect(grace.notes).toHaveText(['office before']);

  await example.network.cut();
  await expect(grace.connection).toHaveText(/^Reconnecting, attempt \d+$/);
  await example.publish(name('grace'), told('meanwhile'));
  await grace.write(name('ada'), 'from nowhere');
  await expect(grace.outbox).toHaveText('1 waiting to be sent');
  await expect(grace.page.getByRole('button', { name: 'Try now' })).toBeVisible();
  await example.network.restore();

  await expect(ada.notes).toHaveText([`${name('grace')} from nowhere`]);
  await expect(grace.outbox).toBeEmpty();
  // Whatever came twice would be there before what comes last.
  await example.publish(name('ada'), told('last'));
  await example.publish(name('grace'), told('last'));
  await expect(ada.notes.last()).toHaveText('office last');
  await expect(grace.notes.last()).toHaveText('office last');
  await expect(ada.notes).toHaveCount(2);
  await expect(grace.notes).toHaveText([
    'office before',
    'office meanwhile',
    `to ${name('ada')} from nowhere`,
    'office last',
  ]);
});

test('what the backend refuses is said where it was written', async ({ arrive, name }) => {
  const ada = await arrive(name('ada'));
  await ada.page.getByLabel('To', { exact: true }).evaluate((input: HTMLInputElement) => {
    input.removeAttribute('pattern');
  });
  await ada.write('NOBODY', 'Hello?');
  await expect(ada.page.getByRole('alert').filter({ hasText: 'Hello?' })).toHaveText(
    '"Hello?" was not taken: A note has a name it goes to, and a text.',
  );
  await expect(ada.notes).toHaveCount(0);
});

test("a page whose person is signed in no more ends nobody else's session", async ({
  arrive,
  example,
  name,
}) => {
  // Signing out, and a refusal, took the cookie away from whoever had signed in from another tab.
  const ada = await arrive(name('ada'));
  const cookies = ada.page.context();
  const heading = ada.page.getByRole('heading', { level: 1 });
  const bob = await arrive(name('bob'));
  await cookies.addCookies(await bob.page.context().cookies());
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(heading).toHaveText(`Notes of ${name('bob')}`);

  const grace = await arrive(name('grace'));
  const hers = await grace.page.context().cookies();
  await cookies.addCookies(hers);
  await example.network.cut();
  await example.network.restore();
  await expect(heading).toHaveText(`Notes of ${name('grace')}`);
  await expect(ada.connection).toHaveText('Live');
  expect(await cookies.cookies()).toEqual(hers);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe has nothing to complain in ${colorScheme}`, async ({ example, name, open }) => {
    const page = await open();
    await page.emulateMedia({ colorScheme });
    const person = await Person.arrive(page);
    await expect(page.getByLabel('Your name')).toBeVisible();
    expect(await violations(page)).toEqual([]);

    await person.signIn(name('ada'));
    await person.write(name('grace'), 'One of mine');
    await example.publish(name('ada'), { type: 'note_new', from: 'g', to: 'a', text: 'another' });
    await expect(person.notes).toHaveCount(2);
    // Next takes the title away and brings it back while it renders what an action has changed.
    await expect(page).toHaveTitle('Notes');
    expect(await violations(page)).toEqual([]);
  });
}
