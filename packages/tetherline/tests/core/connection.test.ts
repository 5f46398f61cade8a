import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { PROBE_ANSWER_BYTES_MAX } from '../../src/generated/protocol.js';
import { type TokenRequest, uuidv7 } from '../../src/index.js';
import { isConnected, givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

describe('signing in', () => {
  it('opens one connection to the user’s path, with the token as a subprotocol and a device', async () => {
    const client = context.client();
    expect(client.getSnapshot().status).toBe('signed_out');
    client.signIn('ann');
    expect(client.getSnapshot().status).toBe('connecting');
    await isConnected(client);
    const connection = await context.server.connection(1);
    expect(connection).toMatchObject({ user: 'ann', token: 'token-of-ann' });
    expect(connection.device).toMatch(/^[0-9a-f-]{36}$/);
    expect(await connection.frame('get_pending')).toMatchObject({ after: 0, epoch: 'epoch-1' });
    expect(client.getSnapshot()).toEqual({
      status: 'connected',
      isConnected: true,
      isCaughtUp: true,
      reconnectAttempts: 0,
      retryAt: null,
      waitReason: null,
      outboxLength: 0,
      error: null,
    });
  });

  it('says when everything has come that had waited, on this connection and on the next', async () => {
    // Only what was connected could be seen: an empty list looked the same before and after the replay.
    context.server.replays = false;
    ['one', 'two', 'three'].forEach((text) =>
      context.server.publish('ann', { type: 'news', text }),
    );
    const client = context.client();
    const seen: unknown[] = [];
    client.on({ news: ({ text }) => void seen.push(text) });
    client.signIn('ann');
    await isConnected(client);
    const connection = await context.server.connection(1);
    await connection.frame('get_pending');
    expect(client.getSnapshot()).toMatchObject({ isConnected: true, isCaughtUp: false });
    const caughtUp = () => client.getSnapshot().isCaughtUp;
    const caughtUpWith: unknown[][] = [];
    client.subscribe(() => {
      if (caughtUp()) {
        caughtUpWith.push([...seen]);
      }
    });
    context.server.mailbox('ann').forEach((frame) => connection.send(frame));
    connection.send({ type: 'pending_check_complete', data: { delivered: 3, head: 3 } });
    await until(caughtUp, 'the page to have caught up');
    expect(caughtUpWith[0]).toEqual(['one', 'two', 'three']);
    context.server.publish('ann', { type: 'news', text: 'four' });
    await until(() => seen.length === 4, 'what comes live');
    expect(caughtUp()).toBe(true);
    connection.terminate();
    await until(() => !caughtUp(), 'the connection to be lost');
    context.server.replays = true;
    client.reconnect();
    await until(caughtUp, 'the page to have caught up again');
  });

  it('makes ids that sort by time, without `crypto.randomUUID`, which plain http has not', () => {
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) });
    const ids = [uuidv7(0), uuidv7(1), uuidv7()];
    vi.unstubAllGlobals();
    expect([...ids].sort()).toEqual(ids);
    expect(ids[2]).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  });

  it('twice for the same user changes nothing', async () => {
    const client = await context.connected();
    client.signIn('ann');
    await client.send({ type: 'question' });
    expect(context.server.connections).toHaveLength(1);
  });

  it('says what is wrong with a user id or an address', () => {
    expect(() => context.client().signIn('a/b')).toThrow('"a/b" is no user id');
    expect(() => context.client({ url: '/ws/user/{user}' }).signIn('ann')).toThrow(
      /"\/ws\/user\/\{user\}" is no address of a WebSocket\. Outside of a browser page/,
    );
  });

  it('logs what the quick start says, when debugging', async () => {
    const client = context.client({ debug: true });
    const handler = vi.fn();
    client.on({ greeting: handler });
    client.signIn('ann');
    await isConnected(client);
    context.server.publish('ann', { type: 'greeting' });
    await until(() => handler.mock.calls.length > 0, 'the handler');
    (await context.server.connection(1)).send({ type: 'pong', server_time: 'now' });
    const said = () => context.logger.log.mock.calls.map((call) => String(call[0]));
    await until(() => said().includes('Received pong from server'), 'the pong');
    client.signOut();
    expect(said().filter((text, index, all) => all.indexOf(text) === index)).toEqual([
      'WebSocket connected successfully',
      'Connected to WebSocket channel',
      'Handler called with:',
      'Received pong from server',
      'WebSocket disconnected',
    ]);
  });
});

describe('signing out', () => {
  it('closes with 1000 and calls no handler any more', async () => {
    const client = await context.connected();
    const handler = vi.fn();
    client.on({ news: handler });
    context.server.publish('ann', { type: 'news' });
    client.signOut();
    const connection = await context.server.connection(1);
    await until(() => connection.closeCode !== null, 'the close');
    expect(connection.closeCode).toBe(1000);
    expect(client.getSnapshot().status).toBe('signed_out');
    expect(handler).not.toHaveBeenCalled();
  });

  it('by a handler leaves its siblings uncalled', async () => {
    const client = await context.connected();
    const sibling = vi.fn();
    const first = vi.fn(() => client.signOut());
    client.on({ news: first });
    client.on({ news: sibling });
    context.server.publish('ann', { type: 'news' });
    await until(() => first.mock.calls.length > 0, 'the first handler');
    expect(sibling).not.toHaveBeenCalled();
    expect(client.getSnapshot().status).toBe('signed_out');
  });

  it('and in again as somebody else carries nothing over', async () => {
    context.server.accepts = false;
    const client = await context.connected('ann');
    const sent = client.send({ type: 'secret', text: 'of Ann' });
    await (await context.server.connection(1)).frame('secret');
    client.signIn('bob');
    await expect(sent).rejects.toMatchObject({ code: 'signed_out' });
    await isConnected(client);
    const second = await context.server.connection(2);
    expect(second).toMatchObject({ user: 'bob', token: 'token-of-bob' });
    expect(second.device).not.toBe((await context.server.connection(1)).device);
    void client.send({ type: 'marker' });
    await second.frame('marker');
    expect(second.ofType('secret')).toEqual([]);
  });

  it('while the token is being fetched makes its answer worthless', async () => {
    const requests: { request: TokenRequest; answer: (token: string) => void }[] = [];
    const client = context.client({
      getToken: (request) =>
        new Promise((answer) => {
          requests.push({ request, answer });
        }),
    });
    client.signIn('ann');
    await until(() => requests.length === 1, 'the first request');
    client.signIn('bob');
    await until(() => requests.length === 2, 'the second request');
    expect(requests[0]!.request.signal.aborted).toBe(true);
    requests[0]!.answer('late-token-of-ann');
    requests[1]!.answer('token-of-bob');
    await isConnected(client);
    expect(context.server.connections.map(({ user, token }) => [user, token])).toEqual([
      ['bob', 'token-of-bob'],
    ]);
  });
});

describe('a lost connection', () => {
  it('comes back with a fresh token, from the position where it was, without duplicates', async () => {
    const tokens = ['first', 'second'];
    const seen: number[] = [];
    const client = context.client({ getToken: () => tokens.shift() ?? null });
    client.on({ news: (message) => void seen.push(message.number as number) });
    client.signIn('ann');
    await isConnected(client);
    context.server.publish('ann', { type: 'news', number: 1 });
    context.server.publish('ann', { type: 'news', number: 2 });
    await until(() => seen.length === 2, 'two messages');
    const attempts: number[] = [];
    client.subscribe(() => void attempts.push(client.getSnapshot().reconnectAttempts));
    (await context.server.connection(1)).terminate();
    await until(() => attempts.includes(1), 'the loss to be noticed');
    context.server.publish('ann', { type: 'news', number: 3 });
    const second = await context.server.connection(2);
    expect(await second.frame('get_pending')).toMatchObject({ after: 2 });
    // A server that repeats itself changes nothing.
    second.send(context.server.mailbox('ann')[1]!);
    second.send({ type: 'news', number: 4, seq: 4 });
    await until(() => seen.includes(4), 'the fourth message');
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(second.token).toBe('second');
    expect(client.getSnapshot()).toMatchObject({ status: 'connected', reconnectAttempts: 0 });
  });

  it('says when the next attempt begins', async () => {
    const client = await context.connected();
    context.server.upgradeStatus = 503;
    context.server.probeStatus = 503;
    context.server.probeHeaders = { 'Retry-After': '30' };
    (await context.server.connection(1)).terminate();
    const waiting = await until(() => {
      const snapshot = client.getSnapshot();
      return (snapshot.retryAt ?? 0) > Date.now() + 5_000 ? snapshot : null;
    }, 'the server’s Retry-After');
    expect(waiting.status).toBe('waiting');
    expect(client.getSnapshot()).toBe(client.getSnapshot());
  });

  it('comes back at once when the person does not want to wait', async () => {
    const client = await context.connected();
    context.server.upgradeStatus = 503;
    context.server.probeStatus = 503;
    context.server.probeHeaders = { 'Retry-After': '600' };
    (await context.server.connection(1)).terminate();
    await until(() => (client.getSnapshot().retryAt ?? 0) > Date.now() + 60_000, 'a long wait');
    context.server.upgradeStatus = 101;
    client.reconnect();
    expect(client.getSnapshot().status).toBe('connecting');
    await isConnected(client);
    client.signOut();
    client.reconnect();
    expect(client.getSnapshot().status).toBe('signed_out');
  });

  it('comes back when a server that restarts says, and at once when that is older and says nothing', async () => {
    // Everybody came back within half a second, and found a port that was closed.
    const client = await context.connected();
    (await context.server.connection(1)).close(1012, 'the server restarts; retry_after_ms=20000');
    const waits = await until(() => client.getSnapshot().retryAt, 'the wait that was told');
    expect(waits - Date.now()).toBeGreaterThan(15_000);
    expect(waits - Date.now()).toBeLessThan(20_600);
    client.reconnect();
    await isConnected(client);
    (await context.server.connection(2)).close(1012, 'the server restarts');
    await context.server.connection(3);
    await isConnected(client);
    // What is no whole number was an hour, where a native client took it for none.
    (await context.server.connection(3)).close(1012, 'the server restarts; retry_after_ms=-1');
    await context.server.connection(4);
    await isConnected(client);
  });

  it('acknowledges what was handled', async () => {
    const client = await context.connected();
    client.on({ news: () => undefined });
    context.server.publish('ann', { type: 'news' });
    context.server.publish('ann', { type: 'unknown' });
    const connection = await context.server.connection(1);
    expect(await connection.frame('ack')).toEqual({ type: 'ack', seq: 1 });
    client.on({ unknown: () => undefined });
    expect(await connection.frame('ack', 2)).toEqual({ type: 'ack', seq: 2 });
  });

  it('acknowledges what comes after everything was acknowledged', async () => {
    // What the engine foresaw before an acknowledgement must not keep from it what comes after.
    const client = await context.connected();
    const news = vi.fn();
    client.on({ news });
    const connection = await context.server.connection(1);
    for (let seq = 1; seq <= 3; seq++) {
      context.server.publish('ann', { type: 'news' });
      expect(await connection.frame('ack', seq)).toEqual({ type: 'ack', seq });
    }
    expect(news).toHaveBeenCalledTimes(3);
  });

  it('reports a gap when the mailbox is another one now', async () => {
    const onGap = vi.fn();
    const client = await context.connected('ann', { onGap });
    client.on({ news: () => undefined });
    context.server.publish('ann', { type: 'news' });
    await (await context.server.connection(1)).frame('ack');
    context.server.epoch = 'epoch-2';
    context.server.mailboxes.clear();
    context.server.cursors.clear();
    (await context.server.connection(1)).terminate();
    await until(() => onGap.mock.calls.length > 0, 'the gap');
    expect(onGap).toHaveBeenCalledWith({ after: 1, next: 0 });
    expect(client.getSnapshot().status).not.toBe('signed_out');
  });
});

describe('an attempt that does not open', () => {
  it('is asked why, with the bearer, and a 401 fetches one fresh token', async () => {
    context.server.upgradeStatus = 401;
    context.server.probeStatus = 401;
    const requests: boolean[] = [];
    const onIdentityRefused = vi.fn();
    const client = context.client({
      getToken: ({ fresh }) => {
        requests.push(fresh);
        return `token-${requests.length}`;
      },
      onIdentityRefused,
    });
    client.signIn('ann');
    await until(() => onIdentityRefused.mock.calls.length > 0, 'the refusal');
    expect(onIdentityRefused).toHaveBeenCalledExactlyOnceWith('ann', { isFinal: false });
    expect(requests).toEqual([false, true]);
    expect(context.server.probes.map((probe) => probe.authorization)).toEqual([
      'Bearer token-1',
      'Bearer token-2',
    ]);
    expect(context.server.probes[0]!.url).toMatch(/^\/ws\/user\/ann\?device=/);
    expect(client.getSnapshot()).toMatchObject({ status: 'refused', waitReason: 'refused' });
  });

  // A signing secret that was rotated on server and backend a minute apart ended every open page.
  it('because tokens are refused is tried with fresh ones until they count, and keeps what is sent', async () => {
    context.server.upgradeStatus = 401;
    context.server.probeStatus = 401;
    const requests: boolean[] = [];
    const onIdentityRefused = vi.fn();
    const client = context.client({
      getToken: ({ fresh }) => {
        requests.push(fresh);
        return 'token';
      },
      onIdentityRefused,
    });
    client.signIn('ann');
    await until(() => client.getSnapshot().status === 'refused', 'the refusal');
    const sent = client.send({ type: 'ask' });
    const statuses = new Set<string>();
    client.subscribe(() => void statuses.add(client.getSnapshot().status));
    await until(() => requests.length >= 4, 'tries by itself');
    client.reconnect();
    await until(() => requests.length >= 5, 'a try at once');
    expect(requests.slice(1)).not.toContain(false);
    expect([...statuses]).toEqual(['refused']);
    context.server.upgradeStatus = 101;
    client.reconnect();
    await isConnected(client);
    await sent;
    expect(onIdentityRefused).toHaveBeenCalledExactlyOnceWith('ann', { isFinal: false });
  });

  it('is over when the application says that nobody is signed in', async () => {
    context.server.upgradeStatus = 401;
    context.server.probeStatus = 401;
    let token: string | null = 'token';
    const onIdentityRefused = vi.fn();
    const client = context.client({ getToken: () => token, onIdentityRefused });
    client.signIn('ann');
    await until(() => client.getSnapshot().status === 'refused', 'the refusal');
    token = null;
    client.reconnect();
    await until(() => onIdentityRefused.mock.calls.length === 2, 'the end');
    expect(onIdentityRefused).toHaveBeenLastCalledWith('ann', { isFinal: true });
    expect(client.getSnapshot()).toMatchObject({ status: 'refused', retryAt: null });
    await expect(client.send({ type: 'x' })).rejects.toMatchObject({ code: 'signed_out' });
  });

  // A proxy that answered 403 for five seconds, a login page in front, a proxy with a password of its
  // own: whoever was signed in was signed out for good.
  it.each([
    [403, 'text/html', '<h1>403 Forbidden</h1>'],
    [401, 'text/html', '<h1>401 Authorization Required</h1>'],
    [401, 'application/json', '{"error":"unauthorized"}'],
    [403, 'application/json', '{"code":"forbidden"}'],
    [403, 'application/json', 'null'],
    // The server's own word, which saw no token: what is in between has taken it away.
    [401, 'application/json', '{"error":{"code":"unauthorized","reason":"no_token"}}'],
    [200, 'text/html', '<form>Sign in</form>'],
    // An answer in the right form that belongs to another status.
    [200, 'application/json', '{"error":{"code":"unauthorized"}}'],
    [502, 'text/html', '<h1>502 Bad Gateway</h1>'],
  ])(
    'because something in between answers %i, %s, signs nobody out',
    async (status, type, body) => {
      const onIdentityRefused = vi.fn();
      const requests: boolean[] = [];
      context.server.upgradeStatus = status === 200 ? 400 : status;
      context.server.probeStatus = status;
      context.server.probeHeaders = {
        'Content-Type': type,
        'WWW-Authenticate': 'Basic realm="gate"',
      };
      context.server.probeBody = body;
      const client = context.client({
        onIdentityRefused,
        getToken: ({ fresh }) => {
          requests.push(fresh);
          return 'token';
        },
      });
      client.signIn('ann');
      await until(() => context.server.probes.length >= 2, 'the second question');
      await until(() => client.getSnapshot().waitReason === 'unreachable', 'the backoff');
      context.server.upgradeStatus = 101;
      client.reconnect();
      await isConnected(client);
      expect(onIdentityRefused).not.toHaveBeenCalled();
      // The token is not in doubt.
      expect(requests).not.toContain(true);
    },
  );

  it('because nothing is at the address says so once, and where it looked', async () => {
    // A wrong path was tried for ever, without a word.
    context.server.upgradeStatus = 404;
    context.server.probeStatus = 404;
    context.server.probeBody = '<h1>Not found</h1>';
    const client = context.client();
    client.signIn('ann');
    await until(() => context.server.probes.length >= 3, 'further questions');
    const told = context.logger.error.mock.calls.flat().filter((text) => /404/.test(String(text)));
    expect(told).toEqual([expect.stringMatching(/http:.*\/ws\/user\/ann.* answers 404/)]);
  });

  it('because a login page is where the address leads to is tried again', async () => {
    // Followed, the redirect ended in a page of status 200.
    context.server.upgradeStatus = 302;
    context.server.probeStatus = 302;
    context.server.probeHeaders = { Location: '/sign-in' };
    const client = context.client();
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'unreachable', 'the backoff');
    expect(context.server.probes.map(({ url }) => url)).not.toContain('/sign-in');
  });

  it('reads no more of an answer than any of the server’s is long', async () => {
    // 16 KiB is read and counts; with one byte more it is somebody else's.
    const refusal = '{"error":{"code":"forbidden"}}';
    context.server.upgradeStatus = 403;
    context.server.probeStatus = 403;
    context.server.probeBody = refusal.padEnd(PROBE_ANSWER_BYTES_MAX + 1);
    const client = context.client();
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'unreachable', 'the backoff');
    context.server.probeBody = refusal.padEnd(PROBE_ANSWER_BYTES_MAX);
    client.reconnect();
    await until(() => client.getSnapshot().status === 'refused', 'the refusal');
  });

  it('because the token is not valid yet waits for that, and asks for a token again', async () => {
    context.server.upgradeStatus = 401;
    context.server.probeStatus = 401;
    context.server.probeHeaders = { 'Retry-After': '15' };
    context.server.probeBody = '{"error":{"code":"token_not_yet_valid","message":"Soon."}}';
    const onIdentityRefused = vi.fn();
    const getToken = vi.fn(() => 'token');
    const client = context.client({ getToken, onIdentityRefused });
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'token_not_yet_valid', 'the reason');
    expect(client.getSnapshot().retryAt).toBeGreaterThan(Date.now() + 10_000);
    context.server.upgradeStatus = 101;
    client.reconnect();
    await isConnected(client);
    expect(getToken).toHaveBeenCalledTimes(2);
    expect(client.getSnapshot().waitReason).toBeNull();
    expect(onIdentityRefused).not.toHaveBeenCalled();
  });

  it('because the server is away is tried again', async () => {
    context.server.upgradeStatus = 503;
    context.server.probeStatus = 503;
    const client = context.client();
    client.signIn('ann');
    await until(() => client.getSnapshot().status === 'waiting', 'the backoff');
    expect(client.getSnapshot().retryAt).toBeGreaterThan(Date.now() - 1_000);
    context.server.upgradeStatus = 101;
    await isConnected(client);
  });

  it('for want of a token is signed out; for a failing token callback is tried again', async () => {
    const onIdentityRefused = vi.fn();
    const none = context.client({ getToken: () => null, onIdentityRefused });
    none.signIn('ann');
    await until(() => none.getSnapshot().status === 'refused', 'the refusal');
    expect(onIdentityRefused).toHaveBeenCalledOnce();

    let failures = 1;
    const flaky = context.client({
      getToken: () => {
        if (failures-- > 0) {
          throw new Error('auth server away');
        }
        return 'token';
      },
    });
    flaky.signIn('ann');
    await isConnected(flaky);
    expect(context.logger.error.mock.calls[0]![0]).toContain('`getToken` failed');
  });

  // An empty text from a backend's 502, or an object where a text was meant, signed the person out.
  it.each([
    ['an empty text', ''],
    ['undefined', undefined],
    ['a value of type object', { token: 'secret' }],
    ['a text with characters that no token has', '<html>502 Bad Gateway</html>'],
  ])('for %s instead of a token is tried again, and says so once', async (words, answer) => {
    const answers: unknown[] = [answer];
    const client = context.client({
      getToken: () => (answers.length > 0 ? answers.pop() : 'token') as string,
    });
    client.signIn('ann');
    await isConnected(client);
    expect(context.logger.error).toHaveBeenCalledOnce();
    const said = String(context.logger.error.mock.calls[0]![0]);
    expect(said).toContain(`answered ${words} instead of a token`);
    expect(said).not.toMatch(/secret|502/);
  });
});

describe('a page of the server’s own origin', () => {
  const BASIC = 'Basic Z2F0ZTpzZWNyZXQ=';

  /** As a browser does where a proxy wants a password, unless the page sets the header itself. */
  const fetchWithPassword: typeof fetch = (url, init) =>
    fetch(url, { ...init, headers: { Authorization: BASIC, ...(init?.headers as object) } });

  beforeEach(() => {
    const { href, origin } = new URL(context.server.url.replace('ws', 'http'));
    vi.stubGlobal('location', { href, origin });
  });

  afterEach(() => {
    vi.unstubAllGlobals();
  });

  // Our own `Authorization` took the place of the browser's, so the proxy refused every question, and
  // that was taken for the server's refusal.
  it('leaves a proxy its password, and hears what the server behind it says', async () => {
    context.server.gate = BASIC;
    context.server.upgradeStatus = 403;
    const onIdentityRefused = vi.fn();
    const client = context.client({ fetch: fetchWithPassword, onIdentityRefused });
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'no_upgrade', 'an answer');
    expect(context.server.probes[0]).toMatchObject({
      authorization: BASIC,
      token: 'token-of-ann',
    });
    context.server.probeStatus = 401;
    client.reconnect();
    await until(() => onIdentityRefused.mock.calls.length > 0, 'the refusal');
  });

  it('asks an older server, which does not know the header, as it knows it', async () => {
    context.server.readsTokenHeader = false;
    context.server.upgradeStatus = 403;
    const client = context.client();
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'no_upgrade', 'an answer');
    expect(context.server.probes.map(({ authorization }) => authorization)).toEqual([
      undefined,
      'Bearer token-of-ann',
    ]);
    context.server.probeStatus = 403;
    client.reconnect();
    await until(() => client.getSnapshot().status === 'refused', 'the refusal');
  });

  it('takes nothing for a refusal that an older server says behind a proxy’s password', async () => {
    context.server.gate = BASIC;
    context.server.readsTokenHeader = false;
    context.server.upgradeStatus = 401;
    const client = context.client({ fetch: fetchWithPassword });
    client.signIn('ann');
    await until(() => client.getSnapshot().waitReason === 'unreachable', 'the backoff');
    expect(context.server.probes.map(({ authorization }) => authorization)).toEqual([
      BASIC,
      'Bearer token-of-ann',
    ]);
  });
});

describe('a connection whose token runs out', () => {
  it('is renewed in place', async () => {
    context.server.established = { token_expires_in_ms: 1_000 };
    const fresh: boolean[] = [];
    await context.connected('ann', {
      getToken: (request) => {
        fresh.push(request.fresh);
        return `token-${fresh.length}`;
      },
    });
    const connection = await context.server.connection(1);
    expect(await connection.frame('authenticate')).toEqual({
      type: 'authenticate',
      token: 'token-2',
    });
    expect(fresh.slice(0, 2)).toEqual([false, true]);
    expect(context.server.connections).toHaveLength(1);
  });
});

it('reads on from where the application’s history ends, though the device was further', async () => {
  context.server.mailbox('ann').push({ type: 'news', id: 'm1', seq: 1 });
  const seen: unknown[] = [];
  const client = context.client({ device: 'laptop' });
  context.server.cursors.set('laptop', 1);
  client.on({ news: (_message, meta) => void seen.push(meta) });
  client.signIn('ann');
  client.historyAsOf(0);
  await until(() => seen.length === 1, 'what the history did not have');
  expect(seen).toEqual([{ seq: 1, id: 'm1', replayed: true }]);
  client.requestPending();
  await (await context.server.connection(1)).frame('get_pending', 2);
  expect(() => client.historyAsOf(-1)).toThrow('-1 is no position');
});

it('a token callback that keeps failing is told once, and again after it has worked', async () => {
  // It was told with every attempt: a page that was left open overnight had thousands of lines.
  let isBroken = true;
  const getToken = vi.fn(() => {
    if (isBroken) {
      throw new Error('no token service');
    }
    return 'token';
  });
  const client = context.client({ getToken });
  client.signIn('ann');
  const told = () => context.logger.error.mock.calls.map(([text]) => text as string);
  await until(() => client.getSnapshot().status === 'waiting', 'the first failure');
  client.reconnect();
  await until(() => getToken.mock.calls.length >= 2, 'the second attempt');
  await until(() => client.getSnapshot().status === 'waiting', 'the second failure');
  expect(told()).toEqual(['Tetherline: `getToken` failed; it is asked again with each attempt.']);
  isBroken = false;
  client.reconnect();
  await isConnected(client);
  isBroken = true;
  (await context.server.connection(1)).terminate();
  await until(() => told().length === 2, 'the next failure');
});

it('a token callback that never answers is told once, and the next attempt asks again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  try {
    const getToken = vi.fn(() => new Promise<string>(() => undefined));
    const client = context.client({ getToken });
    client.signIn('ann');
    for (let attempt = 0; attempt < 4; attempt++) {
      await vi.advanceTimersByTimeAsync(40_000);
    }
    expect(getToken.mock.calls.length).toBeGreaterThan(2);
    expect(context.logger.error.mock.calls).toEqual([
      ['Tetherline: `getToken` has not answered in 10 s; it is asked again with each attempt.'],
    ]);
  } finally {
    vi.useRealTimers();
  }
});
