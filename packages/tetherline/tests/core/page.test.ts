// @vitest-environment jsdom
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';

import { probeUrl, webSocketUrl } from '../../src/core/connection/address.js';
import { isConnected, givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const table = resolve('../../crates/client/tests/addresses.json');
const addresses = JSON.parse(readFileSync(table, 'utf8')) as [string, string, string | null][];

const context = givenServer();

afterEach(() => {
  vi.restoreAllMocks();
  localStorage.clear();
});

describe('the page', () => {
  it('has listeners while somebody is signed in, and none afterwards, however often', async () => {
    let listeners = 0;
    for (const target of [window, document]) {
      const add = target.addEventListener.bind(target);
      vi.spyOn(target, 'addEventListener').mockImplementation(
        (type: string, listener: unknown, options?: unknown) => {
          listeners += 1;
          const { signal } = options as { signal: AbortSignal };
          signal.addEventListener('abort', () => (listeners -= 1), { once: true });
          add(type, listener as EventListener, options as AddEventListenerOptions);
        },
      );
    }
    const client = context.client();
    expect(listeners).toBe(0);
    const counts = new Set<number>();
    for (const user of ['ann', 'bob', 'ann', 'cat']) {
      client.signIn(user);
      client.signIn(user);
      counts.add(listeners);
      await isConnected(client);
    }
    expect([...counts]).toEqual([6]);
    client.signOut();
    expect(listeners).toBe(0);
  });

  it('that comes online again reconnects at once', async () => {
    const client = await context.connected();
    context.server.upgradeStatus = 503;
    context.server.probeStatus = 503;
    context.server.probeHeaders = { 'Retry-After': '600' };
    (await context.server.connection(1)).terminate();
    await until(() => (client.getSnapshot().retryAt ?? 0) > Date.now() + 60_000, 'a long wait');
    context.server.upgradeStatus = 101;
    window.dispatchEvent(new Event('online'));
    await isConnected(client);
  });

  it('whose network went away replaces a dead socket at once, and never hears of it again', async () => {
    const sockets: WebSocket[] = [];
    class Recorded extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    const client = await context.connected('ann', { WebSocket: Recorded });
    const first = await context.server.connection(1);
    // After its answer nothing is under way that could be taken for a sign of life.
    await client.send({ type: 'ask' });
    first.goSilent();
    window.dispatchEvent(new Event('offline'));
    const second = await context.server.connection(2);
    expect(sockets[0]!.readyState).toBe(WebSocket.CLOSING);
    await isConnected(client);
    // Its goodbye comes late, and is nobody's business any more.
    first.terminate();
    await until(() => sockets[0]!.readyState === WebSocket.CLOSED, 'the late close');
    await client.send({ type: 'ask' });
    expect(second.ofType('ask')).toHaveLength(1);
    expect(client.getSnapshot()).toMatchObject({ isConnected: true, reconnectAttempts: 0 });
  });

  it('that becomes visible asks whether the connection still lives', async () => {
    const client = await context.connected();
    const connection = await context.server.connection(1);
    document.dispatchEvent(new Event('visibilitychange'));
    await connection.frame('ping');
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    await connection.frame('ping', 2);
    expect(client.getSnapshot().isConnected).toBe(true);
    expect(context.server.connections).toHaveLength(1);
  });
});

describe('the device', () => {
  it('is the same for a user in every tab, another one for another user, and all that is stored', async () => {
    const first = await context.connected('ann');
    await context.connected('ann');
    first.signIn('bob');
    const [ann, annAgain, bob] = await Promise.all([
      context.server.connection(1),
      context.server.connection(2),
      context.server.connection(3),
    ]);
    expect(annAgain.device).toBe(ann.device);
    expect(bob.device).not.toBe(ann.device);
    expect(Object.fromEntries(Object.entries(localStorage))).toEqual({
      'tetherline:device:ann': ann.device,
      'tetherline:device:bob': bob.device,
    });
  });

  it('lives as long as the page where nothing can be stored', async () => {
    vi.spyOn(Storage.prototype, 'getItem').mockImplementation(() => {
      throw new DOMException('denied', 'SecurityError');
    });
    await context.connected('dan');
    await context.connected('dan');
    const first = await context.server.connection(1);
    expect(first.device).toMatch(/^[\w-]{36}$/);
    expect((await context.server.connection(2)).device).toBe(first.device);
  });
});

describe('the address', () => {
  it.each([
    [undefined, 'ws://localhost:3000/ws/user/a~1?device=d'],
    ['/socket/{user}', 'ws://localhost:3000/socket/a~1?device=d'],
    ['https://example.com', 'wss://example.com/ws/user/a~1?device=d'],
    ['wss://example.com/x/{user}?region=eu', 'wss://example.com/x/a~1?region=eu&device=d'],
    [(user: string) => `ws://example.com/${user}`, 'ws://example.com/a~1?device=d'],
  ])('%s', (option, expected) => {
    expect(webSocketUrl(option, 'a~1', 'd')).toBe(expected);
  });

  // `https://example.com/realtime/` led to a wrong address for ever, without a word.
  it.each(addresses)('%s of %s is where native clients go, too', (option, user, expected) => {
    const url = () => webSocketUrl(option, user, 'd');
    if (expected === null) {
      expect(url).toThrow('is no address of a WebSocket');
    } else {
      expect(url()).toBe(expected);
    }
  });

  it('without an upgrade is the same one', () => {
    expect(probeUrl('wss://example.com/ws/user/a?device=d')).toBe(
      'https://example.com/ws/user/a?device=d',
    );
  });
});
