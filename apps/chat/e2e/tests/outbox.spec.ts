import { expect, test } from '../support/fixtures.ts';
import { newAccount, type Person } from '../support/person.ts';

test('questions that were asked without a connection outlive a reload, in order and once', async ({
  arrive,
  network,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);

  network.refuseWebSockets();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('First');
  await ada.ask('Second');
  await expect.poll(() => kept(ada)).toBe(2);
  await ada.page.reload();
  const questions = ada.log.getByText(/^(Before|First|Second|Third)$/);
  await expect(questions).toHaveText(['Before', 'First', 'Second']);
  await ada.ask('Third');

  await network.restore();
  for (const text of ['First', 'Second', 'Third']) {
    await expect(ada.said(`You said: ${text}`)).toHaveCount(1);
  }
  await expect(questions).toHaveText(['Before', 'First', 'Second', 'Third']);
  await expect.poll(() => kept(ada)).toBe(0);
  await ada.hasFrames('accepted', 4);

  await ada.page.reload();
  await expect(ada.said('You said: Third')).toHaveCount(1);
  await expect(questions).toHaveText(['Before', 'First', 'Second', 'Third']);
});

test('what a tab could not send before it was closed is sent by the next one', async ({
  arrive,
  network,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  await first.ask('Before');
  await expect(first.said('You said: Before')).toHaveCount(1);

  network.refuseWebSockets();
  await expect(first.badge).toContainText(/reconnecting/i);
  await first.ask('Into the void');
  await expect.poll(() => kept(first)).toBe(1);
  const second = await first.anotherTab();
  await expect(second.said('You said: Before')).toHaveCount(1);
  await expect(second.said('Into the void')).toHaveCount(0);
  await first.page.close();
  await second.page.reload();
  await expect(second.said('Into the void')).toHaveCount(1);

  await network.restore();
  await expect(second.said('You said: Into the void')).toHaveCount(1);
  await expect(second.said('Into the void')).toHaveCount(1);
});

test('a question that opens a conversation outlives a reload too', async ({ arrive, network }) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  network.refuseWebSockets();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('Are you there?');
  await expect.poll(() => kept(ada)).toBe(1);
  await ada.page.reload();
  await ada.conversations.getByRole('link', { name: 'Are you there?' }).click();
  await expect(ada.said('Are you there?')).toHaveCount(1);

  await network.restore();
  await expect(ada.said('You said: Are you there?')).toHaveCount(1);
  await expect(ada.said('Are you there?')).toHaveCount(1);
});

test('signing out forgets what could not be sent', async ({ arrive, network }) => {
  const [account, other] = [newAccount('Ada'), newAccount('Bob')];
  const ada = await arrive();
  await ada.signUp(account);
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);

  network.refuseWebSockets();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('Never mind');
  await expect.poll(() => kept(ada)).toBe(1);
  await ada.signOut();
  await expect.poll(() => kept(ada)).toBe(0);
  await network.restore();

  await ada.signUp(other);
  await ada.ask('Hello');
  await expect(ada.said('You said: Hello')).toHaveCount(1);
  await expect(ada.page.getByText('Never mind')).toHaveCount(0);

  await ada.signOut();
  await ada.signIn(account);
  await ada.isConnected();
  await ada.conversations.getByRole('link', { name: 'Before' }).click();
  await ada.ask('After');
  await expect(ada.said('You said: After')).toHaveCount(1);
  await expect(ada.page.getByText('Never mind')).toHaveCount(0);
});

test('what one person left in a browser is not sent by the next', async ({ arrive, network }) => {
  const account = newAccount('Ada');
  const ada = await arrive();
  await ada.signUp(account);
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);
  const conversation = ada.page.url();

  network.refuseWebSockets();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('Of Ada');
  await expect.poll(() => kept(ada)).toBe(1);
  // Her sign-in ends without a word, as when cookies are cleared.
  await ada.page.goto('about:blank');
  await ada.page.context().clearCookies();
  await network.restore();

  await ada.page.goto(network.origin);
  await ada.page.getByRole('link', { name: 'Create an account' }).waitFor();
  await ada.signUp(newAccount('Bob'));
  await ada.ask('Of Bob');
  await expect(ada.said('You said: Of Bob')).toHaveCount(1);
  await expect(ada.page.getByText('Of Ada')).toHaveCount(0);

  await ada.signOut();
  await ada.signIn(account);
  await ada.isConnected();
  await ada.page.goto(conversation);
  await expect(ada.said('You said: Before')).toHaveCount(1);
  await ada.ask('After');
  await expect(ada.said('You said: After')).toHaveCount(1);
  // The page noticed that she was signed out, which forgets what was kept.
  await expect(ada.said('Of Ada')).toHaveCount(0);
});

/** How many sends the browser profile keeps. */
async function kept({ page }: Person): Promise<number> {
  return await page.evaluate(
    () =>
      new Promise<number>((resolve, reject) => {
        const opening = indexedDB.open('tetherline-outbox', 1);
        opening.onerror = () => reject(new Error('The database cannot be opened.'));
        opening.onsuccess = () => {
          const counting = opening.result.transaction('sends').objectStore('sends').count();
          counting.onsuccess = () => {
            opening.result.close();
            resolve(counting.result);
          };
        };
      }),
  );
}
