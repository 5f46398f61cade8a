import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

test('a lost network shows with the attempt, and what was missed comes when it is back', async ({
  arrive,
  network,
  otherNetwork,
}) => {
  const account = newAccount('Ada');
  const ada = await arrive();
  await ada.signUp(account);
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);

  const phone = await arrive({ by: otherNetwork });
  await phone.signIn(account);
  await phone.isConnected();
  await phone.conversations.getByRole('link', { name: 'Before' }).click();

  await network.cut();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await expect(ada.badge).toContainText(/attempt \d/i);

  await phone.ask('While you were away');
  await expect(phone.said('You said: While you were away')).toHaveCount(1);
  await expect(ada.said('While you were away')).toHaveCount(0);

  await network.restore();
  await ada.isConnected();
  await expect(ada.said('While you were away')).toHaveCount(1);
  await expect(ada.said('You said: While you were away')).toHaveCount(1);
});

test('what is asked without a network is sent when it is back, once', async ({
  arrive,
  network,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);

  await network.cut();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('Into the void');
  await expect(ada.said('Into the void')).toHaveCount(1);
  await network.restore();

  await expect(ada.said('You said: Into the void')).toHaveCount(1);
  await ada.page.reload();
  await expect(ada.said('You said: Into the void')).toHaveCount(1);
  await expect(ada.said('Into the void')).toHaveCount(1);
});

test('a network that swallows everything is noticed when the browser goes offline', async ({
  arrive,
  network,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  // Nothing closes here: the socket still looks open to both ends.
  network.freeze();
  await ada.page.evaluate(() => window.dispatchEvent(new Event('offline')));
  await expect(ada.badge).toContainText(/reconnecting/i);
  await network.restore();
  await ada.isConnected();
  await ada.ask('Still here?');
  await expect(ada.said('You said: Still here?')).toHaveCount(1);
});

test('a server that is killed in the middle of an answer loses nothing', async ({
  arrive,
  chat,
  provider,
}) => {
  const answer = provider.hold();
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Will you survive?');
  await ada.hasFrames('accepted', 1);

  await chat.kill();
  await expect(ada.badge).toContainText(/reconnecting/i);
  answer();
  await chat.start();

  await ada.isConnected();
  await expect(ada.said('You said: Will you survive?')).toHaveCount(1);
  await expect(ada.said('Will you survive?')).toHaveCount(1);
});

test('a lost network shows in every tab, and they come back together', async ({
  arrive,
  network,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  const second = await first.anotherTab();
  await second.isConnected();

  await network.cut();
  for (const tab of [first, second]) {
    await expect(tab.badge).toContainText(/reconnecting/i);
    await expect(tab.badge).toContainText(/attempt \d/i);
    await expect(tab.badge.getByRole('button', { name: 'Try now' })).toBeVisible();
  }
  await second.ask('Into the void');
  await network.restore();
  for (const tab of [first, second]) {
    await tab.isConnected();
    await expect(tab.conversations.getByRole('link')).toHaveCount(1);
  }
  await expect(second.said('You said: Into the void')).toHaveCount(1);
});

test('a proxy that answers 403 for five seconds signs nobody out, and what was asked is answered', async ({
  arrive,
  network,
}) => {
  // The page took the proxy's 403 for the server's, and its person had to sign in again.
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Before');
  await expect(ada.said('You said: Before')).toHaveCount(1);

  const until = Date.now() + 5_000;
  network.answerInstead('403 Forbidden');
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.ask('Into the deploy');
  // Sockets, and the questions why there was none: more than one of each.
  await expect.poll(() => network.answered >= 4 && Date.now() >= until).toBe(true);
  await expect(ada.badge).toContainText(/reconnecting/i);
  await network.restore();

  await ada.isConnected();
  await expect(ada.said('You said: Into the deploy')).toHaveCount(1);
});
