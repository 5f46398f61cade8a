import { afterEach, describe, expect, it, vi } from 'vitest';

import { HELD_MESSAGES_MAX } from '../../src/generated/protocol.js';
import {
  type ClientOptions,
  type Message,
  type MessageMeta,
  TetherlineError,
} from '../../src/index.js';
import { isConnected, givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

afterEach(() => {
  vi.useRealTimers();
});

/** Once this has come, everything published before it has come too. */
async function marker(client: Awaited<ReturnType<typeof context.connected>>) {
  const seen = vi.fn();
  const remove = client.on({ marker: seen });
  context.server.publish('ann', { type: 'marker' });
  await until(() => seen.mock.calls.length > 0, 'the marker');
  remove();
}

describe('handlers', () => {
  it('of one type all run, in the order in which they were registered, with the meta', async () => {
    const client = await context.connected();
    const order: string[] = [];
    const first = vi.fn(() => void order.push('first'));
    client.on({ news: first });
    client.on({ news: () => void order.push('second') });
    await marker(client);
    context.server.publish('ann', { type: 'news', title: 'Hi' });
    await until(() => order.length === 2, 'both handlers');
    expect(order).toEqual(['first', 'second']);
    expect(first).toHaveBeenCalledExactlyOnceWith(
      { type: 'news', title: 'Hi', id: 'm2', seq: 2 },
      { seq: 2, id: 'm2', replayed: false },
    );
  });

  it('may be for control types too; they run after the engine', async () => {
    const client = context.client();
    const seen: string[] = [];
    client.on({
      connection_established: (frame) =>
        void seen.push(`${frame.user_uuid} ${client.getSnapshot().status}`),
      pending_check_complete: (frame) => void seen.push(`pending ${frame.data.delivered}`),
      accepted: (frame) => void seen.push(`accepted ${frame.ref}`),
    });
    client.signIn('ann');
    await isConnected(client);
    await client.send({ type: 'question', id: 'q1' });
    await until(() => seen.length === 3, 'three control frames');
    expect(seen.sort()).toEqual(['accepted q1', 'ann connected', 'pending 0']);
  });

  it('with something else than a function are refused with the type named', async () => {
    const client = context.client();
    const wrong = { news: () => undefined, other: 'nope' } as never;
    expect(() => client.on(wrong)).toThrow(
      'Tetherline: the handler for "other" is not a function but nope.',
    );
    expect(() => client.on(undefined as never)).toThrow('handlers are an object of functions');
    // Nothing of the refused map was registered.
    const good = vi.fn();
    client.on({ marker: good });
    client.signIn('ann');
    await isConnected(client);
  });

  it('may come and go while a message is handed out', async () => {
    const client = await context.connected();
    await marker(client);
    const late = vi.fn();
    const removed = vi.fn();
    const removeLater = { news: removed };
    client.on({
      news: () => {
        client.on({ news: late });
        client.off(removeLater);
      },
    });
    client.on(removeLater);
    context.server.publish('ann', { type: 'news' });
    context.server.publish('ann', { type: 'news' });
    await until(() => late.mock.calls.length > 0, 'the late handler');
    expect(late.mock.calls.map(([, meta]) => (meta as { seq: number }).seq)).toEqual([3]);
    expect(removed).not.toHaveBeenCalled();
  });

  it('registered twice are two; each removal takes one away', async () => {
    const client = await context.connected();
    const handler = vi.fn();
    const remove = client.on({ news: handler });
    client.on({ news: handler });
    context.server.publish('ann', { type: 'news' });
    await until(() => handler.mock.calls.length === 2, 'two calls');
    remove();
    remove();
    context.server.publish('ann', { type: 'news' });
    await until(() => handler.mock.calls.length === 3, 'a third call');
    client.off({ news: handler });
    context.server.publish('ann', { type: 'news' });
    await marker(client);
    expect(handler).toHaveBeenCalledTimes(3);
  });
});

describe('a handler that fails', () => {
  it('stops neither its siblings, nor later messages, nor the acknowledgement, nor is it repeated', async () => {
    const onHandlerError = vi.fn();
    const client = await context.connected('ann', { onHandlerError });
    const bad = vi.fn(() => {
      throw new Error('boom');
    });
    const good = vi.fn();
    client.on({ news: bad });
    client.on({ news: good });
    context.server.publish('ann', { type: 'news' });
    context.server.publish('ann', { type: 'news' });
    const first = await context.server.connection(1);
    await until(() => first.ofType('ack').at(-1)?.seq === 2, 'the acknowledgement');
    first.terminate();
    const second = await context.server.connection(2);
    expect(await second.frame('get_pending')).toMatchObject({ after: 2 });
    context.server.publish('ann', { type: 'news' });
    await until(() => good.mock.calls.length === 3, 'the third message');
    expect(bad).toHaveBeenCalledTimes(3);
    expect(onHandlerError).toHaveBeenCalledTimes(3);
    expect(onHandlerError.mock.calls[0]).toMatchObject([{ message: 'boom' }, { type: 'news' }]);
    expect(context.logger.error).toHaveBeenCalledTimes(3);
  });

  it('by rejecting is reported all the same, even if the callback for it throws', async () => {
    const onHandlerError = vi.fn(() => {
      throw new Error('worse');
    });
    const client = await context.connected('ann', { onHandlerError });
    client.on({ news: () => Promise.reject(new Error('later')) });
    context.server.publish('ann', { type: 'news' });
    await until(() => onHandlerError.mock.calls.length > 0, 'the report');
    await marker(client);
  });
});

describe('a handler that returns a promise', () => {
  it('holds the acknowledgement back until it settles', async () => {
    const client = await context.connected();
    let settle!: () => void;
    const handler = vi.fn(() => new Promise<void>((resolve) => (settle = resolve)));
    client.on({ slow: handler });
    client.on({ fast: () => undefined });
    context.server.publish('ann', { type: 'fast' });
    context.server.publish('ann', { type: 'slow' });
    context.server.publish('ann', { type: 'fast' });
    await until(() => handler.mock.calls.length > 0, 'the slow handler');
    const connection = await context.server.connection(1);
    expect(await connection.frame('ack')).toMatchObject({ seq: 1 });
    settle();
    expect(await connection.frame('ack', 2)).toMatchObject({ seq: 3 });
  });

  it('does not speak for the message at the same position in another epoch', async () => {
    // Found by the simulator: a backup was restored while a handler ran, and when it settled, the
    // new history's message was acknowledged under the hands of its own handler.
    const client = await context.connected();
    const settle: (() => void)[] = [];
    client.on({ slow: () => new Promise<void>((resolve) => settle.push(resolve)) });
    context.server.publish('ann', { type: 'slow' });
    await until(() => settle.length === 1, 'the first handler');
    context.server.epoch = 'epoch-2';
    (await context.server.connection(1)).terminate();
    const connection = await context.server.connection(2);
    await until(() => settle.length === 2, 'the second handler');
    settle[0]!();
    await marker(client);
    client.requestPending();
    await connection.frame('get_pending', 2);
    expect(connection.ofType('ack')).toEqual([]);
    settle[1]!();
    expect(await connection.frame('ack')).toMatchObject({ seq: 2 });
  });

  it('does so although it first makes calls of its own', async () => {
    const client = await context.connected();
    let settle!: () => void;
    client.on({
      slow: async () => {
        // Asking again acknowledges whatever is handled by then; this message is not.
        client.requestPending();
        await client.send({ type: 'working' });
        await new Promise<void>((resolve) => (settle = resolve));
      },
    });
    context.server.publish('ann', { type: 'slow' });
    const connection = await context.server.connection(1);
    await until(() => settle as unknown, 'the handler to wait');
    expect(connection.ofType('ack')).toEqual([]);
    settle();
    expect(await connection.frame('ack')).toMatchObject({ seq: 1 });
  });

  it('for ever counts as handled after the time for it, and is reported', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const onHandlerError = vi.fn();
    const client = await context.connected('ann', { onHandlerError });
    const handler = vi.fn(() => new Promise(() => undefined));
    client.on({ stuck: handler });
    context.server.publish('ann', { type: 'stuck' });
    await until(() => handler.mock.calls.length > 0, 'the stuck handler');
    vi.advanceTimersByTime(29_900);
    expect(onHandlerError).not.toHaveBeenCalled();
    vi.advanceTimersByTime(200);
    expect(onHandlerError).toHaveBeenCalledOnce();
    const [error, message] = onHandlerError.mock.calls[0] as [TetherlineError, unknown];
    expect(error).toBeInstanceOf(TetherlineError);
    expect(error.code).toBe('handler_timeout');
    expect(message).toMatchObject({ type: 'stuck' });
    vi.advanceTimersByTime(200);
    expect(await (await context.server.connection(1)).frame('ack')).toMatchObject({ seq: 1 });
  });
});

describe('messages that come before their handlers', () => {
  it('wait, and are handed out in order, before anything newer', async () => {
    for (const number of [1, 2, 3]) {
      context.server.publish('ann', { type: number === 2 ? 'b' : 'a', number });
    }
    const client = await context.connected();
    await (await context.server.connection(1)).frame('get_pending');
    await marker(client);
    const seen: unknown[] = [];
    const handler = (message: Message, meta: MessageMeta) =>
      void seen.push([message.number, meta.replayed]);
    client.on({ a: handler });
    client.on({ b: handler });
    expect(seen).toEqual([]);
    context.server.publish('ann', { type: 'a', number: 5 });
    await until(() => seen.length === 4, 'four messages');
    expect(seen).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [5, false],
    ]);
  });

  it('come before a newer one that arrives in the same breath as their handler', async () => {
    const client = await context.connected();
    await marker(client);
    const seen: unknown[] = [];
    client.on({ go: () => void client.on({ a: (_message, { seq }) => void seen.push(seq) }) });
    (await context.server.connection(1)).inOneBreath(() => {
      context.server.publish('ann', { type: 'a' });
      context.server.publish('ann', { type: 'go' });
      context.server.publish('ann', { type: 'a' });
    });
    await until(() => seen.length === 2, 'both messages');
    expect(seen).toEqual([2, 4]);
  });

  it('reach every handler that registers in the same breath, once', async () => {
    context.server.publish('ann', { type: 'a' });
    const client = await context.connected();
    await marker(client);
    const first = vi.fn();
    const second = vi.fn();
    // Mounted, unmounted and mounted again, as StrictMode does.
    client.on({ a: first })();
    client.on({ a: first });
    client.on({ a: second });
    await until(() => second.mock.calls.length > 0, 'the second handler');
    expect(first).toHaveBeenCalledOnce();
    expect(second).toHaveBeenCalledOnce();
  });

  it('are given up after the grace window', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    context.server.publish('ann', { type: 'a' });
    const client = await context.connected();
    await marker(client);
    vi.advanceTimersByTime(10_200);
    vi.advanceTimersByTime(200);
    const connection = await context.server.connection(1);
    await until(() => connection.ofType('ack').at(-1)?.seq === 2, 'the acknowledgement');
    const handler = vi.fn();
    client.on({ a: handler });
    await marker(client);
    expect(handler).not.toHaveBeenCalled();
  });
});

/** The clock is virtual; the grace is over when this returns. */
async function pastTheGrace(options: Partial<ClientOptions> = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const client = await context.connected('ann', options);
  await marker(client);
  vi.advanceTimersByTime(10_200);
  return client;
}

const warnings = () => context.logger.warn.mock.calls.map(([text]) => String(text));

describe('a message without a handler', () => {
  // A component that mounted after the grace missed messages, and nobody ever heard of it.
  it('is warned of once per type, whether it waited in vain or came too late', async () => {
    context.server.publish('ann', { type: 'early' });
    const client = await pastTheGrace();
    context.server.publish('ann', { type: 'late' });
    context.server.publish('ann', { type: 'late' });
    await marker(client);
    expect(
      warnings().map((text) => /of type "(\w+)" has found no handler/.exec(text)?.[1]),
    ).toEqual(['early', 'late']);
  });

  // There was no way to take what nobody else had taken.
  it('goes to onUnhandled instead, once, and is acknowledged', async () => {
    context.server.publish('ann', { type: 'early' });
    const onUnhandled = vi.fn();
    const client = await pastTheGrace({ onUnhandled });
    context.server.publish('ann', { type: 'late', number: 3 });
    await marker(client);
    expect(onUnhandled.mock.calls).toEqual([
      [
        { type: 'early', id: 'm1', seq: 1 },
        { seq: 1, id: 'm1', replayed: true },
      ],
      [
        { type: 'late', id: 'm3', seq: 3, number: 3 },
        { seq: 3, id: 'm3', replayed: false },
      ],
    ]);
    expect(warnings()).toEqual([]);
    vi.advanceTimersByTime(200);
    const connection = await context.server.connection(1);
    await until(() => connection.ofType('ack').at(-1)?.seq === 4, 'the acknowledgement');
  });

  it('that is live-only is written to the debug log, once per type', async () => {
    const client = await context.connected('ann', { debug: true });
    const connection = await context.server.connection(1);
    connection.send({ type: 'typing' });
    connection.send({ type: 'typing' });
    await marker(client);
    const lines = context.logger.log.mock.calls.map(([text]) => String(text));
    expect(lines.filter((line) => line.includes('"typing"'))).toHaveLength(1);
    expect(warnings()).toEqual([]);
  });
});

describe("a handler of '*'", () => {
  // There was no handler for whatever comes.
  it('gets every message once, after the handlers of its type, and nothing of the protocol', async () => {
    context.server.publish('ann', { type: 'waits' });
    const seen: string[] = [];
    const client = context.client();
    client.on({ '*': ({ type }) => void seen.push(`* ${type}`) });
    client.on({ news: ({ type }) => void seen.push(type), marker: () => undefined });
    client.signIn('ann');
    await isConnected(client);
    const connection = await context.server.connection(1);
    await connection.frame('get_pending');
    connection.send({ type: 'typing' });
    context.server.publish('ann', { type: 'news' });
    await marker(client);
    expect(seen).toEqual(['* waits', '* typing', 'news', '* news', '* marker']);
    // It has kept the first from nobody.
    client.on({ waits: ({ type }) => void seen.splice(0, Infinity, type) });
    await until(() => seen.length === 1, 'the handler that was waited for');
    expect(seen).toEqual(['waits']);
  });

  it('sees what waits when it comes itself, and nothing that it has seen counts as unhandled', async () => {
    context.server.publish('ann', { type: 'waits' });
    const onUnhandled = vi.fn();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const client = await context.connected('ann', { onUnhandled });
    await marker(client);
    let settle!: () => void;
    const everything = vi.fn(({ type }: Message) =>
      type === 'waits' ? new Promise<void>((resolve) => (settle = resolve)) : undefined,
    );
    client.on({ '*': everything });
    await until(() => everything.mock.calls.length === 1, 'what waits');
    vi.advanceTimersByTime(10_200);
    context.server.publish('ann', { type: 'late' });
    await marker(client);
    expect(everything.mock.calls.map(([{ type }]) => type)).toEqual(['waits', 'late', 'marker']);
    expect(onUnhandled).not.toHaveBeenCalled();
    // What it goes on with holds the acknowledgement back, as with any handler.
    vi.advanceTimersByTime(1_000);
    const connection = await context.server.connection(1);
    expect(connection.ofType('ack')).toEqual([]);
    settle();
    await until(() => everything.mock.calls.length === 3, 'a moment');
    await Promise.resolve();
    vi.advanceTimersByTime(200);
    await until(() => connection.ofType('ack').at(-1)?.seq === 4, 'the acknowledgement');
  });
});

describe("a handler of '*' that fails", () => {
  // It was an unhandled rejection, which ends a process of Node, and told nobody.
  it('is reported while its message waits for its own handler', async () => {
    const onHandlerError = vi.fn();
    context.server.publish('ann', { type: 'waits' });
    const client = context.client({ onHandlerError });
    client.on({ '*': () => Promise.reject(new Error('no')) });
    const handler = vi.fn();
    client.signIn('ann');
    await isConnected(client);
    await until(() => onHandlerError.mock.calls.length === 1, 'the report');
    client.on({ waits: handler });
    await until(() => handler.mock.calls.length === 1, 'the handler that was waited for');
    expect(onHandlerError).toHaveBeenCalledOnce();
  });
});

describe('a held type', () => {
  // Whoever mounted after the grace could not keep the messages of before from counting as handled.
  it('waits past the grace, in order, unacknowledged, and a later page gets it again', async () => {
    const client = await pastTheGrace({ hold: ['chat'] });
    for (const number of [1, 2]) {
      context.server.publish('ann', { type: 'chat', number });
    }
    await marker(client);
    vi.advanceTimersByTime(11_000);
    const connection = await context.server.connection(1);
    expect(connection.ofType('ack').map(({ seq }) => seq)).toEqual([1]);

    client.leave();
    const again = await context.connected('ann', { hold: ['chat'] });
    await marker(again);
    vi.advanceTimersByTime(11_000);
    const seen: unknown[] = [];
    again.on({ chat: ({ number }, { replayed }) => void seen.push([number, replayed]) });
    await until(() => seen.length === 2, 'both messages');
    expect(seen).toEqual([
      [1, true],
      [2, true],
    ]);
    vi.advanceTimersByTime(200);
    const second = await context.server.connection(2);
    await until(() => second.ofType('ack').at(-1)?.seq === 5, 'the acknowledgement');
    expect(warnings()).toEqual([]);
  });

  it('may be held while its first messages wait, and counts as unhandled when it is released', async () => {
    context.server.publish('ann', { type: 'chat' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const onUnhandled = vi.fn();
    const client = await context.connected('ann', { onUnhandled });
    await marker(client);
    const first = client.hold('chat');
    const second = client.hold('chat');
    vi.advanceTimersByTime(11_000);
    first();
    first();
    await marker(client);
    expect(onUnhandled).not.toHaveBeenCalled();
    second();
    // As StrictMode does.
    client.hold('chat')();
    await until(() => onUnhandled.mock.calls.length > 0, 'the message');
    expect(onUnhandled).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(200);
    const connection = await context.server.connection(1);
    await until(() => connection.ofType('ack').at(-1)?.seq === 3, 'the acknowledgement');
  });

  it('beyond its limit stays with the server, in order, until there is a handler', async () => {
    const client = await context.connected('ann', { debug: true, hold: ['chat'] });
    const total = HELD_MESSAGES_MAX + 10;
    const after = vi.fn();
    client.on({ after });
    for (let number = 1; number <= total; number++) {
      context.server.publish('ann', { type: 'chat', number });
    }
    context.server.publish('ann', { type: 'after' });
    const logged = () => context.logger.log.mock.calls.map(([text]) => String(text));
    await until(() => logged().some((line) => line.includes('no more is read')), 'the limit');
    expect(after).not.toHaveBeenCalled();
    const seen: unknown[] = [];
    client.on({ chat: ({ number }) => void seen.push(number) });
    await until(() => after.mock.calls.length > 0, 'what came after');
    expect(seen).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    expect(after).toHaveBeenCalledOnce();
  });
});

describe('what the server says wrongly', () => {
  it('is logged and stops nothing', async () => {
    const client = await context.connected();
    const connection = await context.server.connection(1);
    connection.sendText('{"type":');
    connection.sendText('null');
    connection.sendText('{"no":"type"}');
    connection.sendBytes(new Uint8Array([1, 2, 3]));
    await marker(client);
    expect(context.logger.error.mock.calls.map(([text]) => String(text))).toEqual([
      'Tetherline: The server sent a frame that is not JSON. It is ignored.',
      'Tetherline: The server sent a frame without a `type`. It is ignored.',
      'Tetherline: The server sent a frame without a `type`. It is ignored.',
      'Tetherline: The server sent a binary frame; the wire is text. It is ignored.',
    ]);
    expect(context.server.connections).toHaveLength(1);
  });

  it('as an error without a ref reaches onServerError', async () => {
    const onServerError = vi.fn();
    await context.connected('ann', { onServerError });
    (await context.server.connection(1)).send({
      type: 'error',
      code: 'rate_limited',
      message: 'Slow down.',
      retryable: true,
    });
    await until(() => onServerError.mock.calls.length > 0, 'the error');
    expect(onServerError.mock.calls[0]![0]).toMatchObject({
      code: 'rate_limited',
      message: 'Slow down.',
      retryable: true,
    });
  });
});
