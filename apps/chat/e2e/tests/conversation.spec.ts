import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

test('a question is there at once and its answer arrives over the WebSocket', async ({
  arrive,
  provider,
}) => {
  const answer = provider.hold();
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));

  await ada.ask('What is a mailbox?');
  await expect(ada.said('What is a mailbox?')).toHaveCount(1);
  expect(ada.framesOfType('message_generate')).toHaveLength(0);

  answer();
  await expect(ada.said('You said: What is a mailbox?')).toHaveCount(1);
  const [frame] = await ada.hasFrames('message_generate', 1);
  expect(frame).toMatchObject({ message: { content: 'You said: What is a mailbox?' } });
  expect(frame?.['seq']).toBeGreaterThan(0);
});

test('a reload finds the conversation, once', async ({ arrive }) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Remember this');
  await expect(ada.said('You said: Remember this')).toHaveCount(1);

  await ada.page.reload();
  await ada.isConnected();
  await expect(ada.said('Remember this')).toHaveCount(1);
  await expect(ada.said('You said: Remember this')).toHaveCount(1);
  await expect(ada.conversations.getByRole('link')).toHaveCount(1);
});

test('what is asked in any of three tabs is once in all of them, over one connection', async ({
  arrive,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  await first.ask('Hello from the first tab');
  await expect(first.said('You said: Hello from the first tab')).toHaveCount(1);

  const second = await first.anotherTab();
  const third = await first.anotherTab();
  const tabs = [first, second, third];
  for (const tab of [second, third]) {
    await tab.isConnected();
    await expect(tab.said('You said: Hello from the first tab')).toHaveCount(1);
  }

  for (const [index, tab] of tabs.entries()) {
    const question = `From tab ${String(index)}`;
    await tab.ask(question);
    for (const each of tabs) {
      await expect(each.said(`You said: ${question}`)).toHaveCount(1);
      await expect(each.said(question)).toHaveCount(1);
    }
  }
  await expect.poll(() => tabs.map(({ openSockets }) => openSockets)).toEqual([1, 0, 0]);
});

test('when the connected tab is closed before the answer, the others get it', async ({
  arrive,
  provider,
}) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  await first.ask('Before');
  await expect(first.said('You said: Before')).toHaveCount(1);
  const second = await first.anotherTab();
  await second.isConnected();

  const answer = provider.hold();
  await second.ask('Will you be there?');
  await first.hasFrames('accepted', 2);
  await first.page.close();
  await expect.poll(() => second.openSockets).toBe(1);
  answer();
  await expect(second.said('You said: Will you be there?')).toHaveCount(1);
  await expect(second.said('Will you be there?')).toHaveCount(1);
  await second.isConnected();
});

// It was said twice in the tab that asked, and one notice lay on the other.
test('a refused question says so where it stands, and nowhere else', async ({ arrive }) => {
  const first = await arrive();
  await first.signUp(newAccount('Ada'));
  const second = await first.anotherTab();
  await second.isConnected();
  const notices = (tab: typeof first) => tab.page.locator('[data-sonner-toast]');

  // The page does not learn that there is no such conversation, and asks in it.
  await first.page.route('**/not-a-conversation/messages', (route) => route.abort());
  await first.page.goto(new URL('/c/not-a-conversation', first.page.url()).href);
  await first.isConnected();
  await first.ask('Is anybody here?');
  await expect(first.log.getByText(/^Not sent\./)).toBeVisible();
  await expect(notices(first)).toHaveCount(0);

  // By the time that this has come, the refusal would have come too.
  await first.page.getByRole('link', { name: 'New conversation' }).click();
  await first.ask('And here?');
  await expect(second.conversations.getByRole('link', { name: 'And here?' })).toBeVisible();
  await expect(notices(second)).toHaveCount(0);
});

test('a failed answer says so, loses nothing, and a retry replaces it', async ({
  arrive,
  provider,
}) => {
  provider.replies.push({ status: 500 }, { text: 'Better now.' });
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Are you there?');

  const retry = ada.log.getByRole('button', { name: /try again|retry/i });
  await expect(retry).toBeVisible();
  await expect(ada.said('Are you there?')).toHaveCount(1);
  await retry.click();
  await expect(ada.said('Better now.')).toHaveCount(1);
  await expect(retry).toHaveCount(0);

  await ada.page.reload();
  await expect(ada.said('Better now.')).toHaveCount(1);
  await expect(ada.said('Are you there?')).toHaveCount(1);
});

test('Markdown is rendered, raw HTML and script links are not', async ({ arrive, provider }) => {
  provider.replies.push({
    text: [
      'Some **bold** text.',
      '',
      '```rust',
      'fn main() {}',
      '```',
      '',
      '<img src="x" onerror="document.title=\'owned\'">',
      '',
      '[click](javascript:document.title="owned")',
    ].join('\n'),
  });
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Show me');
  await expect(ada.log.locator('strong', { hasText: 'bold' })).toBeVisible();
  await expect(ada.log.locator('pre code')).toContainText('fn main() {}');
  await expect(ada.log.locator('img')).toHaveCount(0);
  await expect(ada.log.locator('a[href^="javascript"]')).toHaveCount(0);
  expect(await ada.page.title()).not.toBe('owned');
});
