import { expect, test, type Tab } from '../support/tabs/fixtures.ts';

const MANY = 2_000;

// On a machine with much else to do, a disk alone can take half a minute for so many messages.
test.describe.configure({ timeout: 120_000 });

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${String(index)}`);
}

/** No tab has shown that the connection was lost. */
async function nobodySawAnything(tabs: Tab[]): Promise<void> {
  for (const tab of tabs) {
    expect(await tab.read(({ statuses }) => statuses)).toEqual(['connecting', 'connected']);
  }
}

test('three tabs, one connection, and every message once in each', async ({
  openTabs,
  delivery,
  network,
}) => {
  const tabs = await openTabs(3);
  const ids = await delivery.publish('ann', MANY);
  for (const tab of tabs) await tab.hasHandled(ids);
  expect(network.webSocketsOpened).toBe(1);
  await nobodySawAnything(tabs);
});

test('each tab’s sends are taken once, in their order, and settle where they were sent', async ({
  openTabs,
  delivery,
}) => {
  const tabs = await openTabs(3);
  const sends = tabs.map((_, index) => names(`of-${String(index)}`, 100));
  await Promise.all(tabs.map((tab, index) => tab.send(sends[index]!)));
  for (const [index, tab] of tabs.entries()) {
    await tab.hasSettled(sends[index]!);
    expect(delivery.taken.filter((id) => sends[index]!.includes(id))).toEqual(sends[index]);
  }
});

for (const [how, leave] of [
  ['is closed', (tab: Tab) => tab.page.close()],
  ['is reloaded', (tab: Tab) => tab.page.reload()],
  ['crashes', (tab: Tab) => tab.crash()],
] as const) {
  test(`the leading tab ${how} in the middle of it all: the others have all of it, once`, async ({
    openTabs,
    delivery,
    network,
  }) => {
    const [leader, ...others] = (await openTabs(3)) as [Tab, Tab, Tab];
    const publishing = delivery.publish('ann', MANY);
    await expect.poll(() => others[0].read(({ calls }) => calls.length)).toBeGreaterThan(100);
    const sends = others.map((_, index) => names(`of-${String(index)}`, 100));
    await Promise.all(others.map((tab, index) => tab.send(sends[index]!)));
    await leave(leader);
    const ids = await publishing;
    for (const [index, tab] of others.entries()) {
      await tab.hasHandled(ids);
      await tab.hasSettled(sends[index]!);
    }
    for (const sent of sends) {
      expect(delivery.taken.filter((id) => sent.includes(id))).toEqual(sent);
    }
    await nobodySawAnything(others);
    await expect.poll(() => network.webSockets).toBe(1);
  });
}

test('a leading tab that freezes is replaced, and is right again when it thaws', async ({
  openTabs,
  delivery,
  network,
}) => {
  const [leader, ...others] = (await openTabs(3)) as [Tab, Tab, Tab];
  const [first] = others;
  const early = await delivery.publish('ann', 100);
  for (const tab of others) await tab.hasHandled(early);
  const thaw = await leader.freeze();
  await first.send(['into-the-ice']);
  const late = await delivery.publish('ann', MANY);
  const ids = [...early, ...late];
  // What a person does who looks at another tab.
  await first.pretendToBe('visible');
  for (const tab of others) await tab.hasHandled(ids);
  await first.hasSettled(['into-the-ice']);
  thaw();
  await leader.hasHandled(ids);
  const more = await delivery.publish('ann', 100);
  for (const tab of [leader, ...others]) await tab.hasHandled([...ids, ...more]);
  await leader.send(['from-the-ice']);
  await leader.hasSettled(['from-the-ice']);
  await expect.poll(() => network.webSockets).toBe(1);
  expect(delivery.taken).toEqual(['into-the-ice', 'from-the-ice']);
});

test('a tab that follows freezes: the others go on, and it has all of it, once, when it thaws', async ({
  openTabs,
  delivery,
  network,
}) => {
  const [leader, frozen] = (await openTabs(2)) as [Tab, Tab];
  const early = await delivery.publish('ann', 100);
  await frozen.hasHandled(early);
  const thaw = await frozen.freeze();
  const ids = [...early, ...(await delivery.publish('ann', 100))];
  await leader.hasHandled(ids);
  await leader.send(['meanwhile']);
  await leader.hasSettled(['meanwhile']);
  thaw();
  await frozen.hasHandled(ids);
  await frozen.send(['from-the-ice']);
  await frozen.hasSettled(['from-the-ice']);
  const more = await delivery.publish('ann', 100);
  for (const tab of [leader, frozen]) await tab.hasHandled([...ids, ...more]);
  expect(network.webSocketsOpened).toBe(1);
  expect(delivery.taken).toEqual(['meanwhile', 'from-the-ice']);
});

test('the lead moves to the tab that is looked at', async ({ openTabs, delivery, network }) => {
  const [leader, follower, third] = (await openTabs(3)) as [Tab, Tab, Tab];
  await third.pretendToBe('hidden');
  await leader.pretendToBe('hidden');
  await expect.poll(() => network.webSocketsOpened).toBe(2);
  await expect.poll(() => network.webSockets).toBe(1);
  const ids = await delivery.publish('ann', 100);
  for (const tab of [leader, follower, third]) await tab.hasHandled(ids);
  await nobodySawAnything([leader, follower, third]);
  // The first two are gone, one of them while it leads.
  await follower.page.close();
  await leader.page.close();
  await expect.poll(() => network.webSocketsOpened).toBe(3);
  const more = await delivery.publish('ann', 100);
  await third.hasHandled([...ids, ...more]);
});

test('signing out in any tab signs out all, and the next user gets nothing of the former', async ({
  openTabs,
  delivery,
  network,
}) => {
  const [leader, follower, third] = (await openTabs(3)) as [Tab, Tab, Tab];
  const ids = await delivery.publish('ann', 10);
  for (const tab of [leader, follower, third]) await tab.hasHandled(ids);
  await follower.page.evaluate(() => window.tab.signOut());
  for (const tab of [leader, follower, third]) {
    await expect.poll(() => tab.read(({ statuses }) => statuses.at(-1))).toBe('signed_out');
  }
  expect(await leader.read(({ elsewhere }) => elsewhere)).toEqual(['ann']);
  expect(await follower.read(({ elsewhere }) => elsewhere)).toEqual([]);
  await expect.poll(() => network.webSockets).toBe(0);

  await delivery.publish('ann', 10);
  const others = await delivery.publish('bob', 5);
  for (const tab of [follower, third]) await tab.page.evaluate(() => window.tab.signIn('bob'));
  for (const tab of [follower, third]) {
    await tab.isConnected();
    await expect.poll(() => tab.read(({ calls }) => calls.length)).toBe(ids.length + 5);
    expect((await tab.read(({ calls }) => calls)).slice(ids.length).map(({ id }) => id)).toEqual(
      others,
    );
  }
  await expect.poll(() => network.webSockets).toBe(1);
  await leader.hasHandled(ids);
});

test('a network that is gone shows in every tab, and any of them may try now', async ({
  openTabs,
  delivery,
  network,
}) => {
  const tabs = await openTabs(3);
  await network.cut();
  for (const tab of tabs) {
    await expect.poll(() => tab.read(({ statuses }) => statuses)).toContain('waiting');
  }
  const ids = await delivery.publish('ann', 100);
  await tabs[2]!.send(['without-a-network']);
  await network.restore();
  const opened = network.webSocketsOpened;
  await tabs[2]!.page.evaluate(() => window.tab.reconnect());
  for (const tab of tabs) {
    await tab.isConnected();
    await tab.hasHandled(ids);
  }
  await tabs[2]!.hasSettled(['without-a-network']);
  expect(network.webSocketsOpened).toBe(opened + 1);
  expect(network.webSockets).toBe(1);
});

test('without Web Locks every tab has a connection of its own', async ({
  context,
  openTabs,
  delivery,
  network,
}) => {
  await context.addInitScript(() => {
    Object.defineProperty(navigator, 'locks', { value: undefined });
  });
  const tabs = await openTabs(3);
  const ids = await delivery.publish('ann', 100);
  for (const tab of tabs) await tab.hasHandled(ids);
  expect(network.webSockets).toBe(3);
});

test('ten tabs at once, and all of them reloaded in the same moment', async ({
  open,
  delivery,
  network,
}) => {
  const tabs = await Promise.all(names('tab', 10).map(() => open()));
  for (const tab of tabs) await tab.isConnected();
  await expect.poll(() => network.webSockets).toBe(1);
  const ids = await delivery.publish('ann', 100);
  for (const tab of tabs) await tab.hasHandled(ids);

  await Promise.all(tabs.map((tab) => tab.page.reload()));
  for (const tab of tabs) await tab.isConnected();
  await expect.poll(() => network.webSockets).toBe(1);
  const more = await delivery.publish('ann', 100);
  for (const tab of tabs) {
    await expect.poll(() => tab.read(({ calls }) => calls.at(-1)?.id)).toBe(more.at(-1));
    const seqs = await tab.read(({ calls }) => calls.map(({ seq }) => seq));
    const first = seqs[0] ?? 0;
    expect(first).toBeLessThanOrEqual(ids.length + 1);
    expect(seqs).toEqual(seqs.map((_, index) => first + index));
  }
});
