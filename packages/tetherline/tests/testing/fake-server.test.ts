// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type Client, type ClientOptions, createClient, type Message } from '../../src/index.js';
import { createFakeServer, type FakeServerOptions } from '../../src/testing/index.js';

const MINUTE_MS = 60_000;

let clients: Client[] = [];

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  clients.forEach((client) => client.destroy());
  clients = [];
  vi.useRealTimers();
});

function given(config: FakeServerOptions = {}, options: Partial<ClientOptions> = {}) {
  const server = createFakeServer(config);
  const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const client = createClient({ ...server.options, logger, ...options });
  clients.push(client);
  const titles: unknown[] = [];
  const remove = client.on({ news: ({ title }: Message) => void titles.push(title) });
  return { server, client, titles, remove, isUp: () => client.getSnapshot().isConnected };
}

async function connected(config: FakeServerOptions = {}, options: Partial<ClientOptions> = {}) {
  const world = given(config, options);
  world.client.signIn('user');
  await world.server.settled();
  expect(world.isUp()).toBe(true);
  return world;
}

it('the real client connects, reads what waits, and hears what is published, at once', async () => {
  const { server, client, titles } = given();
  server.publish({ type: 'news', title: 'old' });
  client.signIn('user');
  await server.settled();
  server.publish({ type: 'news', title: 'new' });
  expect(titles).toEqual(['old', 'new']);
});

it('a hundred minutes without a network pass within the time that one test has', async () => {
  const { server, titles, isUp } = await connected();
  for (let round = 1; round <= 100; round++) {
    server.cut();
    server.publish({ type: 'news', title: round });
    await server.clock.advance(MINUTE_MS);
    expect(isUp()).toBe(false);
    server.restore();
    await server.clock.until(isUp);
  }
  await server.settled();
  expect(titles).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
});

it('what arrives twice, or again, is handled once', async () => {
  const { server, titles } = await connected();
  server.network.duplicateNext = 1;
  server.publish({ type: 'news', title: 'twice' });
  server.publish({ type: 'news', title: 'once' });
  server.replay();
  expect(titles).toEqual(['twice', 'once']);
});

it('what is lost on the way is a gap, and said to be one', async () => {
  const onGap = vi.fn();
  const { server, titles } = await connected({}, { onGap });
  server.network.loseNext = 1;
  server.publish({ type: 'news', title: 'lost' });
  server.publish({ type: 'news', title: 'next' });
  expect(titles).toEqual(['next']);
  expect(onGap).toHaveBeenCalledExactlyOnceWith({ after: 0, next: 2 });
});

it('a frame under way arrives when its time has passed, and not before', async () => {
  const { server, titles } = await connected();
  server.network.delayMs = 300;
  server.publish({ type: 'news', title: 'slow' });
  await server.clock.advance(299);
  expect(titles).toEqual([]);
  await server.clock.advance(1);
  expect(titles).toEqual(['slow']);
});

it('a connection that is dead without a word is given up after the ping that nobody answers', async () => {
  const { server, titles, isUp } = await connected();
  server.halfOpen();
  server.publish({ type: 'news', title: 'unheard' });
  await server.clock.advance(29_000);
  expect(isUp()).toBe(true);
  await server.clock.advance(12_000);
  await server.clock.until(isUp);
  await server.settled();
  expect(titles).toEqual(['unheard']);
  expect(server.connections).toHaveLength(2);
});

it('expired tokens are replaced by one fresh one, refused ones sign out', async () => {
  const onIdentityRefused = vi.fn();
  const { server, client, isUp } = await connected({}, { onIdentityRefused });
  server.expireTokens();
  await server.clock.until(isUp);
  expect(server.connections.at(-1)?.token).toBe('fake-token-2-of-user');
  await server.clock.advance(MINUTE_MS);
  server.refuseTokens();
  await server.clock.until(() => client.getSnapshot().status === 'refused');
  expect(onIdentityRefused).toHaveBeenCalledExactlyOnceWith('user', { isFinal: false });
});

it('a token that runs out is renewed on the connection', async () => {
  const { server } = await connected({ tokenLifetimeMs: MINUTE_MS });
  await server.clock.advance(MINUTE_MS);
  expect(server.open).toHaveLength(1);
  expect(server.open[0]?.token).toBe('fake-token-2-of-user');
});

it('sends are refused for good, or until they are tried again, and none overtakes another', async () => {
  const taken: unknown[] = [];
  const { server, client } = await connected({ onSend: ({ n }) => taken.push(n) });
  server.refuseNext('rejected');
  await expect(client.send({ type: 'ask', n: 0 })).rejects.toMatchObject({ code: 'rejected' });
  server.refuseNext({ code: 'unavailable', retryable: true, retryAfterMs: 2_000 });
  const sends = [1, 2, 3].map((n) => client.send({ type: 'ask', n }));
  await server.settled();
  expect(taken).toEqual([]);
  await server.clock.until(() => taken.length === 3);
  await Promise.all(sends);
  expect(taken).toEqual([1, 2, 3]);
  expect(server.taken.map(({ n }) => n)).toEqual([1, 2, 3]);
});

it('what `onSend` returns is what the sender is answered, and whoever repeats it', async () => {
  let asked = 0;
  const { client } = await connected({
    onSend: ({ type }) => type === 'ask' && { asked: ++asked },
  });
  const ask = () => client.send({ type: 'ask', id: 'q1' });
  expect(await ask()).toEqual({ id: 'q1', answer: { asked: 1 } });
  expect(await ask()).toEqual({ id: 'q1', answer: { asked: 1 } });
  expect(await client.send({ type: 'say', id: 's1' })).toEqual({ id: 's1', answer: false });
});

it('a send that nobody answers is sent again on the next connection, and taken once', async () => {
  const { server, client, isUp } = await connected();
  server.isAnswering = false;
  const sent = client.send({ type: 'ask', id: 'once' });
  server.isAnswering = true;
  server.disconnect();
  await server.clock.until(isUp);
  await expect(sent).resolves.toEqual({ id: 'once' });
  expect(server.taken).toHaveLength(1);
});

it('a server that drains is waited for as long as it asks', async () => {
  const { server, isUp } = await connected();
  server.drain({ retryAfterMs: 20_000 });
  await server.clock.advance(5_000);
  const attempts = server.connections.length;
  server.restore();
  await server.clock.advance(10_000);
  expect(server.connections).toHaveLength(attempts);
  await server.clock.until(isUp);
});

it.each([
  ['erased', (world: Awaited<ReturnType<typeof connected>>) => world.server.erase()],
  ['restored', (world: Awaited<ReturnType<typeof connected>>) => world.server.restoreBackup(1)],
])('a mailbox that is %s begins a new epoch, in which what is new arrives', async (_how, act) => {
  const world = await connected();
  const { server, titles, isUp } = world;
  server.publish({ type: 'news', title: 'a' });
  server.publish({ type: 'news', title: 'b' });
  await server.clock.advance(1_000);
  act(world);
  await server.clock.until(isUp);
  server.publish({ type: 'news', title: 'c' });
  expect(titles.at(-1)).toBe('c');
  expect(server.open[0]?.frames.find(({ type }) => type === 'get_pending')).toBeDefined();
});

it.each([
  ['further on than the page was', 5],
  ['exactly where the page was', 3],
  ['before the page was', 2],
])(
  'a backup that somebody copied back by hand is noticed when its end is %s',
  async (_how, last) => {
    // Only the epoch was looked at: what came instead of the lost messages was taken for known.
    const onGap = vi.fn();
    const { server, titles, isUp } = await connected({}, { onGap });
    for (const title of ['1', '2', '3']) {
      server.publish({ type: 'news', title });
    }
    await server.clock.advance(1_000);
    server.cut();
    server.restoreBackup(1, undefined, { isAnnounced: false });
    for (let seq = 2; seq <= last; seq++) {
      server.publish({ type: 'news', title: `${seq} again` });
    }
    server.restore();
    await server.clock.until(isUp);
    await server.settled();
    expect(onGap).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ after: 3 }));
    const again = ['2 again', '3 again', '4 again', '5 again'].slice(0, last - 1);
    expect(titles).toEqual(['1', '2', '3', ...again]);
    await server.clock.advance(1_000);
    expect(server.mailbox().cursor(server.open[0]!.device)).toBe(last);
  },
);

it('a backup that was copied back by hand and has all that the page had goes on', async () => {
  const onGap = vi.fn();
  const { server, titles, isUp } = await connected({}, { onGap });
  server.publish({ type: 'news', title: '1' });
  await server.clock.advance(1_000);
  server.restoreBackup(1, undefined, { isAnnounced: false });
  await server.clock.until(isUp);
  server.publish({ type: 'news', title: '2' });
  await server.settled();
  expect(titles).toEqual(['1', '2']);
  expect(onGap).not.toHaveBeenCalled();
});

it('messages that are no longer kept are said to be a gap', async () => {
  const onGap = vi.fn();
  const { server, titles, isUp } = await connected({}, { onGap });
  server.publish({ type: 'news', title: 1 });
  server.cut();
  server.publish({ type: 'news', title: 2 });
  server.publish({ type: 'news', title: 3 });
  server.trim(2);
  server.restore();
  await server.clock.until(isUp);
  await server.settled();
  expect(titles).toEqual([1, 3]);
  expect(onGap).toHaveBeenCalledExactlyOnceWith({ after: 1, next: 3 });
});

it('live-only messages and frames that are none go through as they are', async () => {
  const { server, titles } = await connected();
  server.publishLive({ type: 'news', title: 'now' });
  server.open[0]?.sendText('no JSON');
  server.publish({ type: 'news', title: 'still here' });
  expect(titles).toEqual(['now', 'still here']);
});

it('one device has what it acknowledged behind it', async () => {
  const { server, client } = await connected();
  server.publish({ type: 'news', title: 'read' });
  await server.clock.advance(1_000);
  expect(server.mailbox().cursor(server.open[0]!.device)).toBe(1);
  client.leave();
  expect(server.open).toEqual([]);
  const titles: unknown[] = [];
  client.signOut();
  const again = createClient({ ...server.options });
  clients.push(again);
  again.on({ news: ({ title }: Message) => void titles.push(title) });
  again.signIn('user');
  await server.settled();
  expect(titles).toEqual([]);
});

it('the clock says what it needs where time is real', async () => {
  vi.useRealTimers();
  const { server, client, isUp } = given();
  client.signIn('user');
  await server.settled();
  expect(isUp()).toBe(true);
  await expect(server.clock.advance(1)).rejects.toThrow('vi.useFakeTimers()');
});
