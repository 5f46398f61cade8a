import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Engine } from '../../src/core/engine/engine.js';
import * as Outcome from '../../src/generated/engine/outcome.js';
import { Outbox, prepare } from '../../src/core/sends/outbox.js';
import { TetherlineError } from '../../src/index.js';
import { isConnected, givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

const unhandled = vi.fn();
beforeEach(() => void process.on('unhandledRejection', unhandled));
afterEach(() => {
  process.off('unhandledRejection', unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

describe('a send that is made and forgotten', () => {
  // Whatever refused it before the wire, a send that nobody awaited was gone without a word.
  it('is written to the debug log when it is refused, with its type, id and reason', async () => {
    const client = context.client({ debug: true });
    const lines = () =>
      context.logger.log.mock.calls
        .map((line) => line.join(' '))
        .filter((line) => line.startsWith('A send was not taken'));
    const cases: [unknown, RegExp][] = [
      [{ type: 'early', id: 'a' }, /type early, id a, signed_out: Nobody/],
    ];
    void client.send(cases[0]![0] as never);
    client.signIn('ann');
    await isConnected(client);
    const circular: Record<string, unknown> = { type: 'circular', id: 'c' };
    circular.self = circular;
    const refused: typeof cases = [
      [{ type: 'ping' }, /type ping, id none, bad_frame: /],
      [undefined, /type undefined, id none, bad_frame: /],
      [circular, /type circular, id c, bad_frame: /],
      [
        { type: 'large', id: 'l', text: 'x'.repeat(70_000) },
        /type large, id l, message_too_large: /,
      ],
    ];
    refused.forEach(([message]) => void client.send(message as never));
    // Only a connection that is lost lets them gather.
    context.server.establishes = false;
    (await context.server.connection(1)).terminate();
    await until(() => !client.getSnapshot().isConnected, 'the loss');
    void client.send({ type: 'twice', id: 't' });
    void client.send({ type: 'twice', id: 't', other: true });
    for (let number = 0; number < 1_000; number++) {
      void client.send({ type: 'many', id: `m${number}` });
    }
    await until(() => lines().length === 7, 'seven refusals');
    cases.push(...refused);
    cases.push([null, /type twice, id t, conflict: /], [null, /type many, id m999, outbox_full: /]);
    cases.forEach(([, pattern], index) => expect(lines()[index]).toMatch(pattern));
  });
});

describe('a send', () => {
  it('gets a UUIDv7 and resolves with it when the server has accepted', async () => {
    const client = await context.connected();
    const { id } = await client.send({ type: 'message_generate', message: 'Hello, AI!' });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const connection = await context.server.connection(1);
    expect(await connection.frame('message_generate')).toEqual({
      type: 'message_generate',
      id,
      message: 'Hello, AI!',
    });
    expect(client.getSnapshot().outboxLength).toBe(0);
  });

  it('resolves with what the application answered, and with nothing where it did not', async () => {
    // There was no way to learn it but a message to all devices of the user.
    const client = await context.connected();
    expect(await client.send({ type: 'ask', id: 'a' })).toEqual({ id: 'a', answer: undefined });
    for (const answer of [{ price: 1.2 }, false, '', 0]) {
      context.server.answer = answer;
      const message = { type: 'price_asked', id: 'mine' };
      // The same one again joins the first.
      const both = await Promise.all([client.send(message), client.send(message)]);
      expect(both).toEqual([
        { id: 'mine', answer },
        { id: 'mine', answer },
      ]);
    }
  });

  it('waits for the connection, in order, and is counted', async () => {
    context.server.establishes = false;
    const client = context.client();
    client.signIn('ann');
    const connection = await context.server.connection(1);
    const sends = [1, 2, 3].map((number) => client.send({ type: 'ask', number }));
    expect(client.getSnapshot().outboxLength).toBe(3);
    expect(connection.frames).toEqual([]);
    connection.establish();
    await Promise.all(sends);
    expect(connection.ofType('ask').map((frame) => frame.number)).toEqual([1, 2, 3]);
    expect(client.getSnapshot().outboxLength).toBe(0);
  });

  it('that went stale may be repeated under its id: perhaps the server has it', async () => {
    const outbox = new Outbox();
    const unsettled = prepare({ type: 'ask', id: 'mine' });
    outbox.add({ send: () => 7 } as unknown as Engine, unsettled, 0, 0);
    outbox.settle(7, Outcome.EXPIRED);
    await expect(unsettled.settled).rejects.toMatchObject({
      code: 'expired',
      retryable: true,
      ref: 'mine',
    });
  });

  it('expires at its own time to live, whatever waits before it', async () => {
    context.server.establishes = false;
    const client = context.client();
    client.signIn('ann');
    const long = client.send({ type: 'ask', id: 'long' });
    const short = client.send({ type: 'ask', id: 'short' }, { ttlMs: 20 });
    await expect(short).rejects.toMatchObject({ code: 'expired', ref: 'short' });
    expect(client.getSnapshot().outboxLength).toBe(1);
    (await context.server.connection(1)).establish();
    expect(await long).toEqual({ id: 'long' });
  });

  it('may live for three days and not a millisecond more', async () => {
    const client = await context.connected();
    const day = 24 * 60 * 60 * 1_000;
    await client.send({ type: 'ask' }, { ttlMs: 3 * day });
    for (const ttlMs of [3 * day + 1, 0, -1, NaN, Infinity]) {
      const refused = client.send({ type: 'ask' }, { ttlMs });
      await expect(refused).rejects.toMatchObject({ code: 'bad_frame' });
    }
  });

  it('that nobody confirmed is sent again, in order, with the same id', async () => {
    context.server.accepts = false;
    const client = await context.connected();
    const sends = [1, 2].map((number) => client.send({ type: 'ask', number }));
    const first = await context.server.connection(1);
    await first.frame('ask', 2);
    context.server.accepts = true;
    first.terminate();
    const accepted = await Promise.all(sends);
    const second = await context.server.connection(2);
    expect(second.ofType('ask')).toEqual(first.ofType('ask'));
    expect(accepted.map(({ id }) => id)).toEqual(second.ofType('ask').map(({ id }) => id));
  });

  it('that the server refuses rejects with its code, and is reported once', async () => {
    context.server.accepts = false;
    const onServerError = vi.fn();
    const client = await context.connected('ann', { onServerError });
    const sent = client.send({ type: 'ask', id: 'q1' });
    const connection = await context.server.connection(1);
    await connection.frame('ask');
    connection.send({
      type: 'error',
      ref: 'q1',
      code: 'rejected',
      message: 'Not today.',
      retryable: false,
    });
    const error = await sent.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TetherlineError);
    expect(error).toMatchObject({
      code: 'rejected',
      message: 'Not today.',
      retryable: false,
      ref: 'q1',
    });
    expect(onServerError).toHaveBeenCalledOnce();
  });

  // A burst that had to come again told its person so for each of a hundred sends.
  it('that waits behind one that was refused for now is reported with it', async () => {
    context.server.accepts = false;
    const onServerError = vi.fn();
    const client = await context.connected('ann', { onServerError });
    const sends = ['q1', 'q2', 'q3'].map((id) => client.send({ type: 'ask', id }));
    const connection = await context.server.connection(1);
    await connection.frame('ask', 3);
    for (const ref of ['q1', 'q2', 'q3']) {
      const refusal = { type: 'error', ref, code: 'rate_limited', message: 'Busy.' };
      connection.send({ ...refusal, retryable: true, retry_after_ms: 1 });
    }
    await connection.frame('ask', 6);
    expect(onServerError).toHaveBeenCalledOnce();
    for (const ref of ['q1', 'q2', 'q3']) {
      connection.send({ type: 'accepted', ref });
    }
    expect(await Promise.all(sends)).toHaveLength(3);
  });

  it('that is refused for now goes out again', async () => {
    context.server.accepts = false;
    const onServerError = vi.fn();
    const client = await context.connected('ann', { onServerError });
    const sent = client.send({ type: 'ask', id: 'q1' });
    const connection = await context.server.connection(1);
    const refusal = { type: 'error', ref: 'q1', code: 'unavailable', message: 'Busy.' };
    for (const number of [1, 2]) {
      await connection.frame('ask', number);
      connection.send({ ...refusal, retryable: true, retry_after_ms: 1 });
    }
    await connection.frame('ask', 3);
    connection.send({ type: 'accepted', ref: 'q1' });
    expect(await sent).toEqual({ id: 'q1' });
    expect(onServerError).toHaveBeenCalledOnce();
  });

  it('may be forgotten: nothing is ever an unhandled rejection', async () => {
    context.server.accepts = false;
    const client = await context.connected();
    void client.send({ type: 'ask' });
    void client.send({ type: 'pong' });
    await (await context.server.connection(1)).frame('ask');
    client.signOut();
    void client.send({ type: 'ask' });
    // Node reports unhandled rejections after the microtasks of a turn.
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('again with the same id joins the first; with other contents it is refused', async () => {
    context.server.accepts = false;
    const client = await context.connected();
    const sends = [1, 1].map((number) => client.send({ type: 'ask', id: 'q1', number }));
    const other = client.send({ type: 'ask', id: 'q1', number: 2 });
    await expect(other).rejects.toMatchObject({ code: 'conflict' });
    const connection = await context.server.connection(1);
    await connection.frame('ask');
    connection.send({ type: 'accepted', ref: 'q1' });
    expect(await Promise.all(sends)).toEqual([{ id: 'q1' }, { id: 'q1' }]);
    expect(connection.ofType('ask')).toHaveLength(1);
  });

  it('from within a handler goes out', async () => {
    const client = await context.connected();
    client.on({ question: (message) => void client.send({ type: 'answer', to: message.id }) });
    context.server.publish('ann', { type: 'question' });
    const connection = await context.server.connection(1);
    expect(await connection.frame('answer')).toMatchObject({ to: 'm1' });
  });
});

describe('a send is refused here, with a reason,', () => {
  it.each([
    ['is no object', null, 'bad_frame', 'A message is an object with a `type`.'],
    ['is a list', [], 'bad_frame', 'A message is an object with a `type`.'],
    ['has no type', {}, 'bad_frame', "A message's `type` is a text"],
    ['has an odd type', { type: 'a b' }, 'bad_frame', "A message's `type` is a text"],
    ['has a number as its id', { type: 'a', id: 7 }, 'bad_frame', 'The `id` of a message is'],
    ['sets seq', { type: 'a', seq: 7 }, 'bad_frame', 'Only the server sets `seq`'],
    ['has a reserved type', { type: 'get_pending' }, 'bad_frame', 'Call `requestPending()`'],
    ['cannot be JSON', { type: 'a', big: 1n }, 'bad_frame', 'The message cannot be JSON'],
  ])('when it %s', async (_what, message, code, text) => {
    const client = await context.connected();
    const error = (await client.send(message as never).catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ name: 'TetherlineError', code });
    expect(error.message).toContain(text);
  });

  it('when nobody is signed in', async () => {
    await expect(context.client().send({ type: 'ask' })).rejects.toMatchObject({
      code: 'signed_out',
    });
  });

  it('when it is over the limit in bytes of UTF-8, and not when it is at it', async () => {
    const client = await context.connected();
    const frame = (text: string) => ({ type: 'ask', id: 'q1', text });
    const room = 65_536 - new TextEncoder().encode(JSON.stringify(frame(''))).length;
    const text = 'é'.repeat(Math.floor(room / 2)) + 'x'.repeat(room % 2);
    expect(await client.send(frame(text))).toEqual({ id: 'q1' });
    await expect(client.send(frame(text + 'x'))).rejects.toMatchObject({
      code: 'message_too_large',
      message: 'The message is larger than the 65536 bytes that the server takes.',
    });
  });

  it('when the server turns out to take less than it was written for', async () => {
    context.server.establishes = false;
    const client = context.client();
    client.signIn('ann');
    const sent = client.send({ type: 'ask', text: 'x'.repeat(2_000) });
    const small = client.send({ type: 'ask', text: 'x' });
    (await context.server.connection(1)).establish({ limits: { message_bytes_max: 1_000 } });
    await expect(sent).rejects.toMatchObject({ code: 'message_too_large' });
    await small;
  });

  it('when the outbox is full', async () => {
    context.server.establishes = false;
    const client = context.client();
    client.signIn('ann');
    for (let number = 0; number < 1_000; number++) {
      void client.send({ type: 'ask', number });
    }
    expect(client.getSnapshot().outboxLength).toBe(1_000);
    await expect(client.send({ type: 'ask' })).rejects.toMatchObject({
      code: 'outbox_full',
      retryable: true,
    });
    (await context.server.connection(1)).establish();
    await isConnected(client);
    await until(() => client.getSnapshot().outboxLength === 0, 'the outbox to drain');
  });
});
