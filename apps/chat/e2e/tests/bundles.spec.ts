import { randomUUID } from 'node:crypto';

import { allComesOnce, expect, test } from '../support/tabs/one-server.ts';
import type { Tab } from '../support/tabs/fixtures.ts';

async function shows(tab: Tab, uuid: string, text: string): Promise<void> {
  const look = `window.tab.text(${JSON.stringify(uuid)})`;
  await expect.poll(() => tab.frame.evaluate(look)).toBe(text);
}

test('beside a tab of before, which leads, everything comes once and streams are shown', async ({
  context,
  open,
  delivery,
  user,
}) => {
  // The leading tab asked for no streams, and none was shown anywhere.
  const before = await open(context, { before: '', outbox: '' });
  const now = await open(context, { streams: '', outbox: '' });
  const answer = randomUUID();
  const write = await delivery.answer(user, answer);
  await write('Hello');
  await shows(now, answer, 'Hello');
  await allComesOnce([before, now], delivery, user);
  await write(', you');
  await shows(now, answer, 'Hello, you');
});

test('beside a tab that shows no streams and leads, they are shown in those that do', async ({
  context,
  open,
  delivery,
  user,
}) => {
  const leader = await open(context);
  const before = await open(context, { before: '', streams: '', outbox: '' });
  const now = await open(context, { streams: '' });
  const answer = randomUUID();
  const write = await delivery.answer(user, answer);
  await write('Hello');
  for (const tab of [before, now]) await shows(tab, answer, 'Hello');
  await leader.page.close();
  await write(', you');
  for (const tab of [before, now]) await shows(tab, answer, 'Hello, you');
  await allComesOnce([before, now], delivery, user);
});
