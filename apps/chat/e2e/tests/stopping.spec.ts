import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';
import { words } from '../support/random.ts';

test('an answer is stopped from another tab, keeps its text, and can be tried again', async ({
  arrive,
  provider,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  const writing = provider.next();
  await first.ask('Tell me a long story');
  const answer = await writing;
  for (const word of words(20)) answer.write(word);
  await expect(first.answerText).toHaveText(answer.text.trim());
  await first.hasAddress();
  const second = await first.anotherTab();
  await expect(second.answerText).toHaveText(answer.text.trim());

  await second.stopButton.click();
  const stopped = answer.text.trim();
  await answer.closed;
  answer.write('and nobody hears this');
  for (const tab of [first, second]) {
    await expect(tab.answer.getByText('Stopped', { exact: true })).toBeVisible();
    await expect(tab.answerText).toHaveText(stopped);
    await expect(tab.stopButton).toHaveCount(0);
  }

  provider.replies.push({ text: 'A short one, then.' });
  await first.answer.getByRole('button', { name: 'Try again' }).click();
  for (const tab of [first, second]) {
    await expect(tab.answerText).toHaveText('A short one, then.');
    await expect(tab.answer.getByText('Stopped', { exact: true })).toHaveCount(0);
  }
  const starts = await first.hasFrames('message_start', 2);
  expect(starts.map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test('an answer is stopped with Escape before its first word, and pressing again does no harm', async ({
  arrive,
  provider,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  await expect(ada.stopButton).toBeVisible();
  await expect(ada.composer).toBeFocused();
  await ada.page.keyboard.press('Escape');
  await ada.page.keyboard.press('Escape');
  await answer.closed;
  await expect(ada.answer.getByText('Stopped', { exact: true })).toBeVisible();
  await expect(ada.answerText).toHaveCount(0);
  await expect(ada.composer).toBeFocused();
  await ada.ask('Something else, then');
  await expect(ada.said('You said: Something else, then')).toHaveCount(1);
});

for (const [when, written] of [
  ['before its first word', 0],
  ['while it streams', 10],
] as const) {
  test(`an answer is stopped after a reload, ${when}`, async ({ arrive, provider }) => {
    const ada = await arrive();
    await ada.signUp(newAccount('Ada'));
    const writing = provider.next();
    await ada.ask('Tell me a long story');
    const answer = await writing;
    for (const word of words(written)) answer.write(word);
    if (written > 0) await expect(ada.answerText).toHaveText(answer.text.trim());
    await ada.hasAddress();
    await ada.page.reload();
    await ada.isConnected();
    await ada.stopButton.click();
    await answer.closed;
    await expect(ada.answer.getByText('Stopped', { exact: true })).toBeVisible();
    if (written > 0) await expect(ada.answerText).toHaveText(answer.text.trim());
    await ada.page.reload();
    await expect(ada.answer.getByText('Stopped', { exact: true })).toBeVisible();
  });
}

test('a stop that is pressed without a network goes out when it is back', async ({
  arrive,
  provider,
  network,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  for (const word of words(10)) answer.write(word);
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await network.cut();
  await expect(ada.badge).toContainText(/reconnecting/i);
  await ada.stopButton.click();
  await network.restore();
  await answer.closed;
  await expect(ada.answer.getByText('Stopped', { exact: true })).toBeVisible();
});
