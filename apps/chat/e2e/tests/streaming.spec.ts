import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';
import { random, seedOf, words } from '../support/random.ts';

const PHONE = { width: 390, height: 844 };

test('two tabs and a phone watch the same stream together', async ({
  arrive,
  provider,
  otherNetwork,
}) => {
  const account = newAccount('Ada');
  const desk = await arrive();
  await desk.signUp(account);
  const writing = provider.next();
  await desk.ask('Tell me a long story');
  const answer = await writing;
  await desk.hasAddress();
  const tab = await desk.anotherTab();
  const phone = await arrive({ by: otherNetwork, viewport: PHONE });
  await phone.signIn(account);
  await phone.isConnected();
  await phone.page.getByRole('button', { name: 'Conversations' }).click();
  await phone.page.getByRole('link', { name: 'Tell me a long story' }).click();

  const everybody = [desk, tab, phone];
  const watches = await Promise.all(everybody.map((each) => each.watchAnswer()));
  const story = words(60);
  for (const [index, word] of story.entries()) {
    answer.write(word);
    // Somebody else has to have seen it before the story goes on.
    if (index % 10 === 9) await expect(everybody[index % 3]!.answerText).toContainText(word.trim());
  }
  for (const each of everybody) await expect(each.answerText).toHaveText(answer.text.trim());
  answer.end();
  for (const each of everybody) {
    await expect(each.answer.getByRole('button', { name: 'Copy answer' })).toBeVisible();
    await expect(each.answerText).toHaveText(answer.text.trim());
  }
  for (const seen of await Promise.all(watches.map((watch) => watch()))) {
    expect(seen.length).toBeGreaterThan(5);
    expect(seen.filter((text) => !answer.text.startsWith(text))).toEqual([]);
    expect(seen.map(({ length }) => length)).toEqual(
      seen.map(({ length }) => length).sort((a, b) => a - b),
    );
  }
});

test('the end of an answer changes nothing of what is on the page', async ({
  arrive,
  provider,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Show me a list');
  const answer = await writing;
  answer.write('# Title\n\nA paragraph.\n\n- one\n- two\n\n```js\nlet a = 1;\n```\n\nThe end.');
  await expect(ada.answerText).toContainText('The end.');
  const blocks = await ada.answerText.locator(':scope > *').elementHandles();
  answer.end();
  await expect(ada.answer.getByRole('button', { name: 'Copy answer' })).toBeVisible();
  expect(blocks).toHaveLength(5);
  for (const block of blocks) expect(await block.evaluate((node) => node.isConnected)).toBe(true);
});

test('a reload in the middle of an answer goes on where it was, without doubling', async ({
  arrive,
  provider,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  for (const word of words(20)) answer.write(word);
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await ada.hasAddress();

  await ada.page.reload();
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await expect(ada.stopButton).toBeVisible();
  for (const word of words(10)) answer.write(word);
  await expect(ada.answerText).toHaveText(answer.text.trim());
  answer.end();
  await expect(ada.answer.getByRole('button', { name: 'Copy answer' })).toBeVisible();
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await expect(ada.answerText).toHaveCount(1);
});

test('a network that is cut at random leaves the same text on every screen', async ({
  arrive,
  provider,
  network,
  otherNetwork,
}) => {
  const next = random(seedOf(test.info().title));
  const account = newAccount('Ada');
  const ada = await arrive();
  await ada.signUp(account);
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  const other = await arrive({ by: otherNetwork });
  await other.signIn(account);
  await other.conversations.getByRole('link', { name: 'Tell me a long story' }).click();

  const watch = await ada.watchAnswer();
  for (let part = 0; part < 8; part += 1) {
    const story = words(10);
    const cutAt = Math.floor(next() * story.length);
    const restoreAt = cutAt + Math.floor(next() * (story.length - cutAt));
    for (const [index, word] of story.entries()) {
      if (index === cutAt) await network.cut();
      answer.write(word.repeat(1 + Math.floor(next() * 3)));
      if (index === restoreAt) await network.restore();
    }
    if (next() < 0.5) await expect(other.answerText).toHaveText(answer.text.trim());
  }
  answer.end();
  for (const each of [ada, other]) {
    await expect(each.answer.getByRole('button', { name: 'Copy answer' })).toBeVisible();
    await expect(each.answerText).toHaveText(answer.text.trim());
  }
  const seen = await watch();
  expect(seen.filter((text) => !answer.text.startsWith(text))).toEqual([]);
});

test('a server that is killed in the middle of an answer keeps its text, and can try again', async ({
  arrive,
  chat,
  provider,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  for (const word of words(20)) answer.write(word);
  await expect(ada.answerText).toHaveText(answer.text.trim());

  await chat.kill();
  await expect(ada.badge).toContainText(/reconnecting/i);
  // What was seen stays on the screen meanwhile.
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await chat.start();
  const retry = ada.answer.getByRole('button', { name: 'Retry' });
  await expect(retry).toBeVisible();
  await expect(ada.answerText).toHaveText(answer.text.trim());
  await ada.hasAddress();
  await ada.page.reload();
  await expect(ada.answerText).toHaveText(answer.text.trim());

  provider.replies.push({ text: 'Once upon a time.' });
  await retry.click();
  await expect(ada.answerText).toHaveText('Once upon a time.');
  await expect(retry).toHaveCount(0);
  await expect(ada.answer.getByText('Version', { exact: false })).toHaveCount(0);
});

test('who has scrolled up is left alone, and everybody else follows the end', async ({
  arrive,
  provider,
}) => {
  const ada = await arrive({ viewport: { width: 800, height: 500 } });
  await ada.signUp(newAccount('Ada'));
  const writing = provider.next();
  await ada.ask('Tell me a long story');
  const answer = await writing;
  const write = async (from: number): Promise<void> => {
    for (let line = from; line < from + 30; line += 1) answer.write(`Line ${String(line)}.\n\n`);
    await expect(ada.log.getByText(`Line ${String(from + 29)}.`)).toHaveCount(1);
  };
  await write(0);
  await expect(ada.log.getByText('Line 29.')).toBeInViewport();
  await ada.log.evaluate((log) => log.scrollTo({ top: 0 }));
  await expect(ada.page.getByRole('button', { name: 'Latest' })).toBeVisible();
  await write(30);
  await expect(ada.log.getByText('Line 59.')).not.toBeInViewport();
  await ada.page.getByRole('button', { name: 'Latest' }).click();
  await write(60);
  await expect(ada.log.getByText('Line 89.')).toBeInViewport();
  answer.end();
});
