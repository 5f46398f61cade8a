// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';

import type { Client, ClientOptions } from '../../src/index.js';
import { givenServer, isConnected } from '../support/setup.js';
import { givenTabs } from '../support/tabs.js';
import { until } from '../support/until.js';

// Before the server, whose clean-up still needs them.
const browser = givenTabs();
const context = givenServer();

interface Tab {
  client: Client;
  /** Positions, as the handler was called with them. */
  seen: (number | undefined)[];
}

/** So many tabs, one after the other: the first one leads. */
async function tabs(count: number, options: Partial<ClientOptions> = {}): Promise<Tab[]> {
  const opened: Tab[] = [];
  while (opened.length < count) {
    const seen: Tab['seen'] = [];
    const client = context.client(options);
    client.on({ news: (_message, meta) => void seen.push(meta.seq) });
    client.signIn('ann');
    await isConnected(client);
    opened.push({ client, seen });
  }
  return opened;
}

function publish(count: number): void {
  for (let number = 0; number < count; number++) {
    context.server.publish('ann', { type: 'news' });
  }
}

function positions(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

describe('tabs of one user', () => {
  it('share one connection, and each calls its handlers once per message', async () => {
    const all = await tabs(3);
    publish(200);
    for (const { seen } of all) {
      await until(() => seen.length >= 200, 'all messages');
      expect(seen).toEqual(positions(200));
    }
    expect(context.server.connections).toHaveLength(1);
    expect(browser.locks.names).toHaveLength(1);
    expect(browser.locks.names[0]).toMatch(/^tetherline\.v1 ws:.*\/ws\/user\/ann/);
  });

  it('have caught up when what waited has come to each of them', async () => {
    // A tab that did not lead could not know it at all.
    publish(50);
    const all = await tabs(2);
    publish(1);
    for (const { client, seen } of all) {
      await until(() => client.getSnapshot().isCaughtUp, 'the tab to have caught up');
      await until(() => seen.at(-1) === 51, 'what comes live');
    }
    expect(context.server.connections).toHaveLength(1);
  });

  it('do so even if each has made up a device of its own', async () => {
    // Two tabs that were the first ones of their profile, and opened at the same moment, each had
    // stored a device: the storage of one process is not at once that of another. By different
    // devices they never found each other.
    const all: Tab[] = [];
    for (let number = 0; number < 2; number++) {
      localStorage.setItem('tetherline:device:ann', `device-${number}`);
      all.push(...(await tabs(1)));
    }
    expect(all).toHaveLength(2);
    expect(context.server.connections.map(({ device }) => device)).toEqual(['device-0']);
  });

  it('have connections of their own if the application names different devices', async () => {
    await tabs(1, { device: 'left' });
    await tabs(1, { device: 'right' });
    expect(context.server.open).toHaveLength(2);
  });

  it('go on without a loss when the leading one leaves, and show nothing of it', async () => {
    const [leader, ...others] = (await tabs(3)) as [Tab, Tab, Tab];
    const statuses = new Set<string>();
    for (const { client } of others) {
      client.subscribe(() => void statuses.add(client.getSnapshot().status));
    }
    publish(100);
    leader.client.leave();
    publish(100);
    const second = await context.server.connection(2);
    await until(() => second.isLive, 'the next connection');
    publish(100);
    for (const { seen } of others) {
      await until(() => seen.length >= 300, 'all messages');
      expect(seen).toEqual(positions(300));
    }
    // But for `isCaughtUp`: something was published while nobody led.
    expect(statuses).toEqual(new Set(statuses.size > 0 ? ['connected'] : []));
    expect(leader.client.getSnapshot().status).toBe('signed_out');
    await until(() => context.server.open.length === 1, 'the first connection to close');
  });

  it('ask for a token in the leading one only', async () => {
    const getToken = vi.fn(() => 'token');
    await tabs(3, { getToken });
    expect(getToken).toHaveBeenCalledOnce();
  });

  it('are refused together', async () => {
    const onIdentityRefused = vi.fn();
    let token: string | null = 'token';
    const all = await tabs(2, { onIdentityRefused, getToken: () => token });
    token = null;
    // Whoever takes the lock before it hears of the refusal asks for itself.
    context.server.upgradeStatus = 403;
    context.server.probeStatus = 403;
    (await context.server.connection(1)).close(4403);
    await until(() => onIdentityRefused.mock.calls.length === 2, 'both to hear of it');
    expect(all.map(({ client }) => client.getSnapshot().status)).toEqual(['refused', 'refused']);
    context.server.upgradeStatus = 101;
    token = 'token';
    all[1]!.client.signIn('ann');
    await isConnected(all[1]!.client);
  });
});

describe('a page that goes into the back-forward cache', () => {
  const leaves = () =>
    window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
  const returns = () =>
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));

  it('gives lock, channel and connection back, and has missed nothing when it returns', async () => {
    // It kept the lock: the other tabs waited for a page that did not run.
    const closed = vi.spyOn(BroadcastChannel.prototype, 'close');
    const [{ client, seen }] = (await tabs(1)) as [Tab];
    publish(2);
    await until(() => seen.length === 2, 'the first messages');
    leaves();
    await until(() => context.server.open.length === 0 && browser.locks.names.length === 0, 'room');
    expect(closed).toHaveBeenCalledOnce();
    const sent = client.send({ type: 'ask' });
    publish(3);
    returns();
    await until(() => seen.length >= 5, 'what was missed');
    expect(seen).toEqual(positions(5));
    await sent;
    expect(browser.locks.names).toHaveLength(1);
  });
});

describe('what a tab sends', () => {
  it('goes through the leading one, in order, and settles where it was sent', async () => {
    const all = await tabs(3);
    const sends = all.flatMap(({ client }, tab) =>
      positions(20).map((number) => client.send({ type: 'ask', id: `${tab}-${number}` })),
    );
    const accepted = await Promise.all(sends);
    expect(accepted).toHaveLength(60);
    const taken = (await context.server.connection(1)).ofType('ask').map(({ id }) => String(id));
    for (const tab of [0, 1, 2]) {
      const ofTab = taken.filter((id) => id.startsWith(`${tab}-`));
      expect(ofTab).toEqual(positions(20).map((number) => `${tab}-${number}`));
    }
  });

  it('and is answered is answered there, whichever tab leads', async () => {
    const [leader, follower] = (await tabs(2)) as [Tab, Tab];
    context.server.answer = { price: 1.2 };
    const asked = follower.client.send({ type: 'price_asked', id: 'a' });
    expect(await asked).toEqual({ id: 'a', answer: { price: 1.2 } });
    leader.client.leave();
    const again = follower.client.send({ type: 'price_asked', id: 'a' });
    expect(await again).toEqual({ id: 'a', answer: { price: 1.2 } });
  });

  it('is sent again, once, when the leading one went away with it', async () => {
    context.server.accepts = false;
    const [leader, follower] = (await tabs(2)) as [Tab, Tab];
    const sent = follower.client.send({ type: 'ask', id: 'a' });
    await (await context.server.connection(1)).frame('ask');
    context.server.accepts = true;
    leader.client.leave();
    await expect(sent).resolves.toEqual({ id: 'a' });
    expect((await context.server.connection(2)).ofType('ask')).toHaveLength(1);
  });

  it('and is refused is an error there, and in no other', async () => {
    context.server.accepts = false;
    const errors = [vi.fn(), vi.fn()];
    const [leader] = await tabs(1, { onServerError: errors[0] });
    const [follower] = await tabs(1, { onServerError: errors[1] });
    const connection = await context.server.connection(1);
    const refuse = (ref: string) =>
      connection.send({ type: 'error', code: 'rejected', message: 'No.', ref, retryable: false });
    const ofFollower = follower!.client.send({ type: 'ask', id: 'f' });
    await connection.frame('ask');
    refuse('f');
    await expect(ofFollower).rejects.toMatchObject({ code: 'rejected', ref: 'f' });
    const ofLeader = leader!.client.send({ type: 'ask', id: 'l' });
    await connection.frame('ask', 2);
    refuse('l');
    await expect(ofLeader).rejects.toMatchObject({ code: 'rejected', ref: 'l' });
    expect(errors.map(({ mock }) => mock.calls.length)).toEqual([1, 1]);
  });
});

describe('signing out', () => {
  it('in one tab signs out all, and says so in the others', async () => {
    context.server.accepts = false;
    const onSignedOutElsewhere = vi.fn();
    const [leader, follower, third] = (await tabs(3, { onSignedOutElsewhere })) as [Tab, Tab, Tab];
    const sent = third.client.send({ type: 'ask' });
    follower.client.signOut();
    await expect(sent).rejects.toMatchObject({ code: 'signed_out' });
    await until(() => onSignedOutElsewhere.mock.calls.length === 2, 'the others to hear of it');
    expect(onSignedOutElsewhere.mock.calls).toEqual([['ann'], ['ann']]);
    expect(leader.client.getSnapshot().status).toBe('signed_out');
    await until(() => context.server.open.length === 0, 'the connection to close');
    expect(browser.locks.names).toEqual([]);

    publish(3);
    third.client.signIn('ann');
    leader.client.signIn('ann');
    for (const { client, seen } of [third, leader]) {
      await isConnected(client);
      await until(() => seen.length === 3, 'what came meanwhile');
    }
    expect(context.server.open).toHaveLength(1);
    expect(follower.seen).toEqual([]);
  });

  // An auth library says that it does not know before it says that nobody is: `undefined`, then `null`.
  it('in a tab that has left before signs out all the same, and not where the same user is back', async () => {
    const onSignedOutElsewhere = vi.fn();
    const [one, other] = (await tabs(2, { onSignedOutElsewhere })) as [Tab, Tab];
    one.client.leave();
    one.client.signIn('ann');
    await isConnected(one.client);
    await isConnected(other.client);
    expect(onSignedOutElsewhere).not.toHaveBeenCalled();
    one.client.leave();
    one.client.signOut();
    await until(() => onSignedOutElsewhere.mock.calls.length === 1, 'the other to hear of it');
    expect(other.client.getSnapshot().status).toBe('signed_out');
  });

  it('ends no other user’s sign-in', async () => {
    const [ann] = await tabs(1);
    const bob = await context.connected('bob');
    ann!.client.signOut();
    await bob.send({ type: 'ask' });
    expect(bob.getSnapshot().status).toBe('connected');
  });
});

describe('a tab has a connection of its own', () => {
  it('where the application wants it so', async () => {
    await tabs(2, { tabs: 'separate' });
    expect(context.server.open).toHaveLength(2);
  });

  it('where locks are forbidden', async () => {
    browser.locks.isForbidden = true;
    const all = await tabs(2);
    publish(3);
    for (const { seen } of all) {
      await until(() => seen.length >= 3, 'the messages');
      expect(seen).toEqual([1, 2, 3]);
    }
    expect(context.server.open).toHaveLength(2);
  });

  // The constructor threw out of `signIn`, and nothing connected.
  it('where channels are there and refuse', async () => {
    vi.stubGlobal('BroadcastChannel', function refuse() {
      throw new DOMException('Storage is blocked.', 'SecurityError');
    });
    await tabs(2);
    expect(context.server.open).toHaveLength(2);
  });

  it('where locks are there and throw', async () => {
    browser.locks.request = () => {
      throw new DOMException('Storage is blocked.', 'SecurityError');
    };
    const [one, other] = (await tabs(2)) as [Tab, Tab];
    publish(1);
    for (const { seen } of [one, other]) {
      await until(() => seen.length > 0, 'the message');
    }
    expect(context.server.open).toHaveLength(2);
  });

  it('where there are no locks', async () => {
    Reflect.deleteProperty(navigator, 'locks');
    await tabs(2);
    expect(context.server.open).toHaveLength(2);
  });
});
