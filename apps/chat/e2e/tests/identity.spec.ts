import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

test('signing out hangs up, and the next person sees nothing of the first', async ({ arrive }) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('My secret');
  await expect(ada.said('You said: My secret')).toHaveCount(1);
  await expect.poll(() => ada.openSockets).toBe(1);

  await ada.signOut();
  await expect.poll(() => ada.openSockets).toBe(0);
  await expect(ada.page.getByText('My secret')).toHaveCount(0);

  const before = ada.received.length;
  await ada.signUp(newAccount('Grace'));
  await expect(ada.page.getByText('My secret')).toHaveCount(0);
  await expect(ada.conversations.getByRole('link')).toHaveCount(0);
  expect(JSON.stringify(ada.received.slice(before))).not.toContain('My secret');
});

test('signing out in any tab signs out all, and the next person sees nothing of the first', async ({
  arrive,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  await first.ask('My secret');
  await expect(first.said('You said: My secret')).toHaveCount(1);
  const second = await first.anotherTab();
  const third = await first.anotherTab();
  for (const tab of [second, third]) await tab.isConnected();

  await second.signOut();
  for (const tab of [first, third]) {
    await expect(tab.page.getByRole('button', { name: 'Sign in' })).toBeVisible();
    await expect(tab.page.getByText('You signed out in another tab.')).toBeVisible();
    await expect.poll(() => tab.openSockets).toBe(0);
  }

  await third.signUp(newAccount('Grace'));
  for (const tab of [first, second, third]) {
    await tab.isConnected();
    await expect(tab.page.getByText('My secret')).toHaveCount(0);
    await expect(tab.conversations.getByRole('link')).toHaveCount(0);
  }
});

test('one connection, however often the page renders', async ({ arrive }) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('One');
  await expect(ada.said('You said: One')).toHaveCount(1);
  await ada.hasFrames('connection_established', 1);
});

test('a taken e-mail and a wrong password say what to do', async ({ arrive }) => {
  const account = newAccount('Ada');
  const ada = await arrive();
  await ada.signUp(account);
  await ada.signOut();

  const { page } = ada;
  await ada.signIn({ ...account, password: 'not the password' });
  await expect(page.getByText('E-mail or password is wrong.')).toBeVisible();

  await page.getByRole('link', { name: 'Create an account' }).click();
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('E-mail').fill(account.email);
  await page.getByLabel('Password', { exact: true }).fill('another password');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText(/already has an account/i)).toBeVisible();
});
