import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

test('an answer that was cut goes on once, whichever tabs ask for it at once, and is there after a reload', async ({
  arrive,
  provider,
}) => {
  // Whoever had an answer that was cut had to write "continue", and from two tabs it was two questions.
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  const writing = provider.next();
  await first.ask('Tell me a long story');
  const answer = await writing;
  answer.write('Once upon');
  answer.end('length');
  await first.hasAddress();
  const second = await first.anotherTab();
  const tabs = [first, second];
  const goOn = tabs.map(({ log }) => log.getByRole('button', { name: 'Continue' }));
  for (const button of goOn) await expect(button).toBeVisible();

  provider.replies.push({ text: 'a time.' }, { text: 'Nobody asked for this.' });
  // From within the pages: neither waits for the other to be gone.
  await Promise.all(goOn.map((button) => button.evaluate((one: HTMLElement) => one.click())));
  for (const { log } of tabs) {
    await expect(log.getByText('a time.')).toBeVisible();
    await expect(log.getByText('You asked:')).toHaveCount(1);
    await expect(log.getByText('Answer:')).toHaveCount(2);
  }
  await second.page.reload();
  await expect(second.log.getByText('a time.')).toBeVisible();
  await expect(second.log.getByText('Answer:')).toHaveCount(2);
  expect(provider.replies).toHaveLength(1);
});
