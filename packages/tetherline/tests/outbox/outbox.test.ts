// @vitest-environment jsdom
import { IDBFactory, IDBKeyRange, IDBObjectStore } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Accepted, ClientOptions, OutgoingMessage } from '../../src/index.js';
import { indexedDbOutbox } from '../../src/outbox/index.js';
import { Database, type StoredSend } from '../../src/outbox/database.js';
import { ScriptedServer } from '../support/scripted-server.js';
import { givenServer, isConnected } from '../support/setup.js';
import { until } from '../support/until.js';
import { type LockPage, WebLocks } from '../support/web-locks.js';

const context = givenServer();

let locks: WebLocks;
beforeEach(() => {
  locks = new WebLocks();
  vi.stubGlobal('indexedDB', new IDBFactory());
  vi.stubGlobal('IDBKeyRange', IDBKeyRange);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  localStorage.clear();
  sessionStorage.clear();
});

interface Restored {
  message: OutgoingMessage;
  settled: Promise<Accepted>;
}

/** A page of the browser that this file pretends to be. Its tabs do not share a connection. */
function givenPage(options: Partial<ClientOptions> = {}) {
  const restored: Restored[] = [];
  const outbox = indexedDbOutbox({
    onRestored: (message, settled) => restored.push({ message, settled }),
  });
  const client = context.client({ tabs: 'separate', outbox, ...options });
  const page: LockPage = locks.page();
  return {
    client,
    restored,
    signIn(user = 'ann') {
      seeLocks(page);
      client.signIn(user);
    },
    /** The end of a page that had no say in it. */
    die: () => page.die(),
  };
}

type Page = ReturnType<typeof givenPage>;

/** A page that never gets as far as a connection. */
const offline = { getToken: () => new Promise<string>(() => undefined) };

function seeLocks(page: LockPage | undefined): void {
  Object.defineProperty(navigator, 'locks', { value: page, configurable: true });
}

async function stored(): Promise<StoredSend[]> {
  let reading: IDBRequest<unknown[]> | undefined;
  await new Database().write((table) => (reading = table.getAll()));
  return reading?.result as StoredSend[];
}

async function untilStored(count: number): Promise<void> {
  while ((await stored()).length !== count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sends on a page without a connection, which then is gone. */
async function givenLeft(messages: OutgoingMessage[], ttlMs?: number): Promise<void> {
  const page = givenPage(offline);
  page.signIn();
  const before = (await stored()).length;
  for (const message of messages) {
    void page.client.send(message, { ttlMs });
  }
  await untilStored(before + messages.length);
  page.die();
}

async function asked(number = 1): Promise<unknown[]> {
  const connection = await context.server.connection(number);
  return connection.ofType('ask').map((frame) => frame.id);
}

async function givenReloaded(options: Partial<ClientOptions> = {}): Promise<Page> {
  const page = givenPage(options);
  page.signIn();
  await isConnected(page.client);
  return page;
}

describe('sends that are kept', () => {
  it('go out on the next page, once, before what that page sends', async () => {
    await givenLeft([
      { type: 'ask', id: 'one' },
      { type: 'ask', id: 'two' },
    ]);
    const page = givenPage();
    page.signIn();
    const mine = page.client.send({ type: 'ask', id: 'three' });
    expect(await mine).toEqual({ id: 'three' });
    expect(await asked()).toEqual(['one', 'two', 'three']);
    expect(page.restored.map(({ message }) => message)).toEqual([
      { type: 'ask', id: 'one' },
      { type: 'ask', id: 'two' },
    ]);
    expect(await Promise.all(page.restored.map(({ settled }) => settled))).toEqual([
      { id: 'one' },
      { id: 'two' },
    ]);
    await untilStored(0);
  });

  // Whoever compiles in the background reads what is kept faster than that, and had the gate open by then.
  it('go out first where the engine comes later than they are read', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    vi.spyOn(WebAssembly, 'Instance').mockImplementation(function () {
      throw new RangeError('Not here.');
    });
    const compile = WebAssembly.compile.bind(WebAssembly);
    vi.spyOn(WebAssembly, 'compile').mockImplementation(async (bytes) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return await compile(bytes);
    });
    const page = givenPage();
    page.signIn();
    await page.client.send({ type: 'ask', id: 'two' });
    expect(await asked()).toEqual(['one', 'two']);
  });

  // A reload while the engine was compiled in the background lost what had been sent by then.
  it('are kept before the engine is there', async () => {
    vi.spyOn(WebAssembly, 'Instance').mockImplementation(function () {
      throw new RangeError('Not here.');
    });
    vi.spyOn(WebAssembly, 'compile').mockReturnValue(new Promise(() => {}));
    const page = givenPage();
    page.signIn();
    void page.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
  });

  it('are answered where they were restored', async () => {
    const first = givenPage(offline);
    first.signIn();
    void first.client.send({ type: 'price_asked', id: 'q1' });
    await untilStored(1);
    first.die();
    context.server.answer = { price: 1.2 };
    const second = givenPage();
    second.signIn();
    await until(() => second.restored.length === 1, 'the question');
    expect(await second.restored[0]?.settled).toEqual({ id: 'q1', answer: { price: 1.2 } });
  });

  it('count in the snapshot while they wait', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const page = givenPage(offline);
    page.signIn();
    await until(() => page.client.getSnapshot().outboxLength === 1, 'the restored send');
  });

  it('are forgotten when they have settled', async () => {
    const page = await givenReloaded();
    await page.client.send({ type: 'ask' });
    context.server.accepts = false;
    const refused = page.client.send({ type: 'ask', id: 'no' });
    const connection = await context.server.connection(1);
    await connection.frame('ask', 2);
    connection.send({ type: 'error', ref: 'no', code: 'rejected', message: 'No.' });
    await expect(refused).rejects.toMatchObject({ code: 'rejected' });
    await untilStored(0);
  });

  it('survive any number of pages', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    await givenLeft([{ type: 'ask', id: 'two' }]);
    const page = await givenReloaded();
    await until(() => page.restored.length === 2, 'both sends');
    await Promise.all(page.restored.map(({ settled }) => settled));
    expect(await asked()).toEqual(['one', 'two']);
  });

  it('are joined by a repeat under the same id', async () => {
    context.server.accepts = false;
    await givenLeft([{ type: 'ask', id: 'one', text: 'Hello' }]);
    const page = givenPage();
    page.signIn();
    const connection = await context.server.connection(1);
    await connection.frame('ask');
    const repeat = page.client.send({ type: 'ask', id: 'one', text: 'Hello' });
    connection.send({ type: 'accepted', ref: 'one' });
    expect(await repeat).toEqual({ id: 'one' });
    expect(await asked()).toEqual(['one']);
  });

  it('give way to a repeat that came before they were read', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const page = givenPage();
    page.signIn();
    await page.client.send({ type: 'ask', id: 'one' });
    await untilStored(0);
    expect(await asked()).toEqual(['one']);
  });

  it('stay when a page is left without signing out', async () => {
    const page = givenPage(offline);
    page.signIn();
    const left = page.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
    page.client.leave();
    await expect(left).rejects.toMatchObject({ code: 'signed_out' });
    expect(await stored()).toHaveLength(1);
    page.signIn();
    await until(() => page.restored.length === 1, 'what it left itself');
  });
});

describe('identity', () => {
  it('signing out forgets what is kept, and what other pages keep', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const [page, other] = [givenPage(offline), givenPage(offline)];
    page.signIn();
    await until(() => page.restored.length === 1, 'the restored send');
    other.signIn();
    void other.client.send({ type: 'ask', id: 'two' });
    await untilStored(2);
    page.client.signOut();
    await expect(page.restored[0]?.settled).rejects.toMatchObject({ code: 'signed_out' });
    await untilStored(0);
  });

  it('signing out forgets what is kept by whoever has only left before', async () => {
    const page = givenPage(offline);
    page.signIn();
    void page.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
    page.client.leave();
    page.client.signOut();
    await untilStored(0);
  });

  it('signing out holds even if the page is gone before anything is deleted', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const page = givenPage(offline);
    page.signIn();
    await until(() => page.restored.length === 1, 'the restored send');
    vi.spyOn(Database.prototype, 'write').mockReturnValueOnce(new Promise(() => undefined));
    page.client.signOut();
    page.die();
    expect(await stored()).toHaveLength(1);
    const again = await givenReloaded();
    await again.client.send({ type: 'ask', id: 'two' });
    expect(await asked()).toEqual(['two']);
    expect(again.restored).toEqual([]);
    await untilStored(0);
    expect(Object.keys(localStorage).filter((key) => key.includes('signed-out'))).toEqual([]);
  });

  it('signing out in another tab forgets what this page keeps, and nothing newer', async () => {
    const page = givenPage(offline);
    page.signIn();
    void page.client.send({ type: 'ask', id: 'old' });
    await untilStored(1);
    const session = {
      user: 'ann',
      url: `${context.server.url}/ws/user/ann?device=d`,
      isLive: true,
    };
    const kept = indexedDbOutbox().open({
      session,
      restore: () => new Promise(() => undefined),
      restored: () => undefined,
      problem: () => undefined,
    });
    const settled = new Promise<Accepted>(() => undefined);
    kept.put({ id: 'mine', text: '{"type":"ask","id":"mine"}', ttlMs: 1_000, settled });
    await untilStored(2);
    kept.clear('page');
    await untilStored(1);
    expect((await stored()).map(({ id }) => id)).toEqual(['old']);
  });

  it('what users with names that look alike left is kept apart', async () => {
    const users = ['auth0|Zo\u00eb', 'auth0|Zoe\u0308', 'auth0%7CZo%C3%AB'];
    for (const [index, user] of users.entries()) {
      const page = givenPage(offline);
      page.signIn(user);
      void page.client.send({ type: 'ask', id: `q${index}` });
      await untilStored(index + 1);
      page.die();
    }
    const scopes = (await stored()).map(({ scope }) => scope.split(' ')[0]);
    expect(new Set(scopes)).toEqual(new Set(users.map(encodeURIComponent)));
    const page = givenPage({ getToken: () => 'token' });
    page.signIn(users[1]);
    await until(() => page.restored.length === 1, 'the send');
    await page.restored[0]?.settled;
    expect(page.restored.map(({ message }) => message['id'])).toEqual(['q1']);
  });

  it("what one user left never leaves on another one's connection", async () => {
    await givenLeft([{ type: 'ask', id: 'of-ann' }]);
    const page = givenPage();
    page.signIn('bob');
    await page.client.send({ type: 'ask', id: 'of-bob' });
    expect(await asked()).toEqual(['of-bob']);
    expect(page.restored).toEqual([]);
    page.signIn('ann');
    await until(() => page.restored.length === 1, "ann's send");
    await page.restored[0]?.settled;
    expect(await asked(2)).toEqual(['of-ann']);
  });

  it('what was meant for one server is not sent to another', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const elsewhere = await ScriptedServer.start();
    const page = givenPage({ url: elsewhere.url });
    page.signIn();
    await page.client.send({ type: 'ask', id: 'two' });
    expect((await elsewhere.connection(1)).ofType('ask').map(({ id }) => id)).toEqual(['two']);
    expect(page.restored).toEqual([]);
    page.client.destroy();
    await elsewhere.stop();
  });
});

describe('several tabs', () => {
  it('leave alone what a living one sends', async () => {
    const living = givenPage(offline);
    living.signIn();
    void living.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
    const page = await givenReloaded();
    await page.client.send({ type: 'ask', id: 'two' });
    expect(await asked()).toEqual(['two']);
    expect(page.restored).toEqual([]);
    expect((await stored()).map(({ id }) => id)).toEqual(['one']);
  });

  it('take over from one that dies while they live', async () => {
    // A browser takes a moment to let go of what a closed page held. Whoever looked in that moment
    // took it for living, and what it had left waited for somebody to load another page.
    const closed = givenPage(offline);
    closed.signIn();
    void closed.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
    const page = await givenReloaded();
    await page.client.send({ type: 'ask', id: 'two' });
    expect(page.restored).toEqual([]);
    closed.die();
    await untilStored(0);
    expect(await asked()).toEqual(['two', 'one']);
    expect(page.restored.map(({ message }) => message.id)).toEqual(['one']);
  });

  it('see to it that exactly one takes what a dead one left', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const pages = [givenPage(offline), givenPage(offline), givenPage(offline)];
    for (const page of pages) {
      page.signIn();
      void page.client.send({ type: 'ask' });
    }
    await untilStored(4);
    await until(() => pages.some((page) => page.restored.length > 0), 'the restored send');
    await vi.waitFor(() =>
      expect(locks.names.filter((name) => name.endsWith('adopt'))).toEqual([]),
    );
    expect(pages.map((page) => page.restored.length).sort()).toEqual([0, 0, 1]);
  });

  it('take anyway where there are no Web Locks: the server recognises repeats', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    seeLocks(undefined);
    const outbox = indexedDbOutbox();
    const client = context.client({ outbox });
    client.signIn('ann');
    const connection = await context.server.connection(1);
    expect(await connection.frame('ask')).toMatchObject({ id: 'one' });
  });

  it('wait for the page that was reloaded, if the browser is slow to end it', async () => {
    const old = givenPage(offline);
    old.signIn();
    void old.client.send({ type: 'ask', id: 'one' });
    await untilStored(1);
    const owner = (await stored())[0]?.owner ?? '';
    vi.resetModules();
    sessionStorage.setItem('tetherline-outbox:', owner);
    const { indexedDbOutbox: onNewPage } = await import('../../src/outbox/index.js');
    seeLocks(locks.page());
    const client = context.client({ tabs: 'separate', outbox: onNewPage() });
    client.signIn('ann');
    await isConnected(client);
    old.die();
    expect(await (await context.server.connection(1)).frame('ask')).toMatchObject({ id: 'one' });
  });
});

describe('limits', () => {
  it('time goes on while no page is open: what is over is dropped, and said', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await givenLeft([{ type: 'ask', id: 'long' }], 120_000);
    await givenLeft([{ type: 'ask', id: 'short' }], 60_000);
    vi.setSystemTime(Date.now() + 60_000);
    const page = await givenReloaded();
    await until(() => page.restored.length === 2, 'news of both');
    const [long, short] = page.restored;
    expect(await long?.settled).toEqual({ id: 'long' });
    await expect(short?.settled).rejects.toMatchObject({ code: 'expired', ref: 'short' });
    expect(await asked()).toEqual(['long']);
    await untilStored(0);
  });

  it('what is over of another user is dropped too, without a word', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await givenLeft([{ type: 'ask', id: 'of-ann' }], 1_000);
    vi.setSystemTime(Date.now() + 1_000);
    const page = givenPage();
    page.signIn('bob');
    await untilStored(0);
    expect(page.restored).toEqual([]);
  });

  it('an outbox takes 1,000 of what is left, and a later page the rest', async () => {
    await givenLeft([{ type: 'ask', id: 'first' }]);
    const [first] = await stored();
    await new Database().write((table) => {
      for (let number = 1; number <= 1_000; number++) {
        const id = `later-${number}`;
        const text = JSON.stringify({ type: 'ask', id });
        table.put({ ...first, at: (first?.at ?? 0) + number, id, text });
      }
    });
    const page = givenPage(offline);
    page.signIn();
    await until(() => page.client.getSnapshot().outboxLength === 1_000, 'the restored sends');
    expect(context.logger.error).toHaveBeenCalledWith(
      'Tetherline: The outbox is full: 1 kept sends wait for a later page.',
    );
    await expect(page.client.send({ type: 'ask' })).rejects.toMatchObject({ code: 'outbox_full' });
    expect(page.restored.map(({ message }) => message.id)).not.toContain('later-1000');
    page.die();
    expect(await stored()).toHaveLength(1_001);
  });
});

describe('a browser that does not keep', () => {
  it('is warned about once, and sends all the same', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const page = await givenReloaded();
    await page.client.send({ type: 'ask', id: 'one' });
    await page.client.send({ type: 'ask', id: 'two' });
    expect(await asked()).toEqual(['one', 'two']);
    expect(context.logger.error).toHaveBeenCalledExactlyOnceWith(
      'Tetherline: Sends cannot be kept here, so they live as long as this page.',
      expect.any(Error),
    );
  });

  it('holds nothing up for longer than 3 s', async () => {
    vi.stubGlobal('indexedDB', { open: () => ({}) });
    const page = await givenReloaded();
    await page.client.send({ type: 'ask', id: 'one' });
    expect(await asked()).toEqual(['one']);
    expect(context.logger.error).toHaveBeenCalledOnce();
  });

  // What was sent just then was not kept, and a reload lost it.
  it('of a connection for ever has the send that found it closed kept on another one', async () => {
    const opened: IDBDatabase[] = [];
    const open = indexedDB.open.bind(indexedDB);
    vi.spyOn(indexedDB, 'open').mockImplementation((...which) => {
      const request = open(...which);
      request.addEventListener('success', () => opened.push(request.result));
      return request;
    });
    context.server.accepts = false;
    const page = givenPage();
    page.signIn();
    await isConnected(page.client);
    await until(() => opened.length === 1, 'the database');
    // A browser that clears memory, or a page of a newer version, does it.
    opened[0]!.close();
    void page.client.send({ type: 'ask', id: 'kept' });
    await untilStored(1);
    expect(context.logger.error).not.toHaveBeenCalled();
  });

  it('where locks are refused takes what earlier pages left all the same', async () => {
    await givenLeft([{ type: 'ask', id: 'one' }]);
    const page = givenPage();
    const refused = () => Promise.reject(new DOMException('Blocked.', 'SecurityError'));
    vi.stubGlobal('navigator', { locks: { request: refused, query: refused } });
    page.client.signIn('ann');
    await isConnected(page.client);
    await untilStored(0);
    expect(await asked()).toEqual(['one']);
    expect(context.logger.error).not.toHaveBeenCalled();
  });

  it('that is out of space is warned about once, and sends all the same', async () => {
    const page = await givenReloaded();
    await page.client.send({ type: 'ask', id: 'one' });
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('The disk is full.', 'QuotaExceededError');
    });
    await page.client.send({ type: 'ask', id: 'two' });
    await page.client.send({ type: 'ask', id: 'three' });
    expect(await asked()).toEqual(['one', 'two', 'three']);
    await until(() => context.logger.error.mock.calls.length === 1, 'the warning');
  });

  it('may bring back what nobody can read: that is dropped, and said', async () => {
    await givenLeft([{ type: 'ask', id: 'good' }]);
    const [good] = await stored();
    const bad = [
      { ...good, id: 'no-json', text: '{' },
      { ...good, id: 'no-object', text: 'null' },
      { ...good, id: 'no-text', text: undefined },
      { ...good, id: 'other-id' },
      { ...good, id: 'no-owner', text: '{"type":"ask","id":"no-owner"}', owner: undefined },
      { ...good, id: 'reserved', text: '{"type":"authenticate","id":"reserved"}' },
    ];
    await new Database().write((table) => bad.forEach((send) => table.put(send)));
    const page = await givenReloaded();
    await until(() => page.restored.length === 2, 'what can be read');
    const [first, second] = page.restored;
    expect(await first?.settled).toEqual({ id: 'good' });
    await expect(second?.settled).rejects.toMatchObject({ code: 'bad_frame' });
    expect(await asked()).toEqual(['good']);
    await untilStored(0);
    expect(context.logger.error).toHaveBeenCalledTimes(5);
  });
});
