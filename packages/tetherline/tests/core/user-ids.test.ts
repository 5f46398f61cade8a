// @vitest-environment jsdom
import { afterEach, describe, expect, it } from 'vitest';

import { webSocketUrl } from '../../src/core/connection/address.js';
import { givenServer, isConnected } from '../support/setup.js';
import { givenTabs } from '../support/tabs.js';
import { until } from '../support/until.js';

/** What identity providers, and people who mean no good, call users. */
const NAMES = [
  'auth0|5f7c8e',
  'someone@example.org',
  'urn:uuid:7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11',
  'Ада 👩\u200d🚀',
  ' a b ',
  '%2F',
  '","device":"x',
  'a?b=c#d;e&f',
  "$& $1 {user}'",
  '...',
  '\u202egro.elpmaxe@ada',
];

/** A token is a subprotocol, and has no such characters. */
const getToken = () => 'token';

const context = givenServer();
const browser = givenTabs();

afterEach(() => localStorage.clear());

describe('a user', () => {
  it.each(NAMES)('%j is the same everywhere', async (user) => {
    // `auth0|5f7c8e` was no user id.
    const client = context.client({ getToken });
    const seen: unknown[] = [];
    client.on({ note: ({ n }) => void seen.push(n) });
    client.signIn(user);
    await isConnected(client);
    const connection = await context.server.connection(1);
    expect(connection.user).toBe(user);
    context.server.publish(user, { type: 'note', n: 1 });
    await until(() => seen.length === 1, 'the note');
    await client.send({ type: 'ask' });
    // One segment of the path, and no other way to write the name where names are compared.
    const path = new URL(webSocketUrl(context.server.url, user, 'd')).pathname;
    expect(path).toBe(`/ws/user/${encodeURIComponent(user)}`);
    expect(Object.keys(localStorage)).toEqual([`tetherline:device:${encodeURIComponent(user)}`]);
    expect(browser.locks.names.filter((name) => name.includes(path))).toHaveLength(1);
  });

  it('who looks like another one is another one', async () => {
    const users = ['Zo\u00eb', 'Zoe\u0308', 'zo\u00eb', 'Zo\u00eb ', 'Zo%C3%AB'];
    await Promise.all(users.map((user) => context.connected(user, { getToken })));
    const connections = await Promise.all(
      users.map((_, index) => context.server.connection(index + 1)),
    );
    expect(new Set(connections.map(({ user }) => user))).toEqual(new Set(users));
    expect(new Set(connections.map(({ device }) => device)).size).toBe(users.length);
    expect(browser.locks.names).toHaveLength(users.length);
  });

  it('shares no connection with another one, though the address names nobody', async () => {
    // Two tabs of one profile with two users had the same lock, and one got the other's frames.
    const url = `${context.server.url}/socket`;
    await Promise.all([context.connected('ann', { url }), context.connected('bob', { url })]);
    expect(context.server.connections).toHaveLength(2);
  });

  it('is up to 255 bytes long', () => {
    const longest = `${'é'.repeat(127)}x`;
    expect(() => context.client().signIn(longest)).not.toThrow();
    const none = ['', '.', '..', 'a/b', 'a\\b', 'a\nb', '\u0085', '\ud800', `${longest}x`];
    for (const user of none) {
      expect(() => context.client().signIn(user), JSON.stringify(user)).toThrow('is no user id');
    }
  });
});
