// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';

import type { Client } from '../../src/index.js';
import { streamedMessages } from '../../src/streams/index.js';
import { givenServer } from '../support/setup.js';
import { delta, end, start } from '../support/answers.js';
import { until } from '../support/until.js';

const context = givenServer();

async function reading() {
  const client = await context.connected('ann', { streams: streamedMessages() });
  const connection = await context.server.connection(1);
  await connection.frame('get_pending');
  return { client, connection };
}

const text = (client: Client, uuid = 'a') => client.getStream(uuid)?.text;
const shows = (client: Client, wanted: string) =>
  until(() => text(client) === wanted, `"${wanted}"; it is "${text(client)}"`);

describe('a stream', () => {
  it('is shown as far as it has come, and whole when it has ended', async () => {
    const { client, connection } = await reading();
    expect(await connection.frame('get_pending')).toMatchObject({ have: [] });
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    connection.send(delta('a', 5, ', you 👍'));
    await shows(client, 'Hello, you 👍');
    expect(client.getStream('a')).toMatchObject({
      uuid: 'a',
      attempt: 1,
      isGrowing: true,
      ref: 'asked',
      start: { conversation_uuid: 'c1' },
    });
    context.server.publish('ann', end('a', 'Hello, you 👍!', { status: 'stopped' }));
    await shows(client, 'Hello, you 👍!');
    expect(client.getStream('a')).toMatchObject({ isGrowing: false, status: 'stopped' });
  });

  it('calls handlers with what is news, and with nothing twice', async () => {
    const { client, connection } = await reading();
    const seen: unknown[] = [];
    client.on({
      message_start: ({ attempt }) => seen.push(attempt),
      message_delta: ({ offset, text }) => seen.push([offset, text]),
      message_generate: (message) => seen.push(message.status),
    });
    connection.send(start('a'));
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hel'));
    connection.send(delta('a', 1, 'ello'));
    connection.send(delta('a', 0, 'Hello'));
    context.server.publish('ann', end('a', 'Hello'));
    connection.send(delta('a', 5, ' again'));
    context.server.publish('ann', { type: 'message_generate', status: 'unrelated' });
    await until(() => seen.length >= 5, 'everything');
    expect(seen).toEqual([1, [0, 'Hel'], [3, 'lo'], 'complete', 'unrelated']);
    expect(text(client)).toBe('Hello');
  });

  it('starts over with a later attempt', async () => {
    const { client, connection } = await reading();
    connection.send(start('a'));
    connection.send(delta('a', 0, 'A wrong beginning'));
    connection.send(start('a', 2));
    connection.send(delta('a', 17, ' goes on'));
    connection.send(delta('a', 0, 'Right', 2));
    await shows(client, 'Right');
    expect(client.getStream('a')?.attempt).toBe(2);
  });

  it('survives the loss of the connection and is read on from where it is', async () => {
    const { client, connection } = await reading();
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(client, 'Hello');
    connection.terminate();
    const next = await context.server.connection(2);
    expect(await next.frame('get_pending')).toMatchObject({
      have: [{ message_uuid: 'a', attempt: 1, offset: 5 }],
    });
    expect(text(client)).toBe('Hello');
    next.send(delta('a', 5, ', you'));
    await shows(client, 'Hello, you');
  });

  it('with a hole asks once for what is missing', async () => {
    const { client, connection } = await reading();
    connection.send(start('a'));
    connection.send(delta('a', 0, 'He'));
    connection.send(delta('a', 3, 'lo'));
    connection.send(delta('a', 5, ', '));
    expect(await connection.frame('get_pending', 2)).toMatchObject({
      have: [{ message_uuid: 'a', attempt: 1, offset: 2 }],
    });
    connection.send(delta('a', 2, 'llo, you'));
    await shows(client, 'Hello, you');
    expect(connection.ofType('get_pending')).toHaveLength(2);
  });

  it('is forgotten when its history is, and when somebody else signs in', async () => {
    const { client, connection } = await reading();
    const told = vi.fn();
    client.subscribeStreams(told);
    connection.send(start('a'));
    await until(() => client.getStream('a'), 'the answer');
    context.server.epoch = 'epoch-2';
    connection.terminate();
    await until(() => !client.getStream('a'), 'the answer to be forgotten');
    const next = await context.server.connection(2);
    next.send(start('b'));
    await until(() => client.getStream('b'), 'the other answer');
    client.signIn('bob');
    expect(client.getStreams()).toEqual([]);
    expect(told).toHaveBeenCalledTimes(4);
  });

  it('says nothing that is not a stream', async () => {
    const { client, connection } = await reading();
    for (const wrong of [
      { message_uuid: 7 },
      { attempt: 0 },
      { attempt: 1.5 },
      { attempt: 2 ** 32 },
    ]) {
      connection.send({ ...start('wrong'), ...wrong });
    }
    connection.send(start('a'));
    for (const wrong of [{ offset: -1 }, { offset: '0' }, { text: 7 }]) {
      connection.send({ ...delta('a', 0, 'wrong'), ...wrong });
    }
    connection.send(delta('a', 0, 'right'));
    await shows(client, 'right');
    expect(client.getStreams()).toHaveLength(1);
    expect(connection.ofType('get_pending')).toHaveLength(1);
  });

  it('is not asked for where nobody looks', async () => {
    const client = await context.connected();
    const connection = await context.server.connection(1);
    expect(await connection.frame('get_pending')).not.toHaveProperty('have');
    const seen = vi.fn();
    client.on({ message_delta: seen, marker: seen });
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    connection.send({ type: 'marker' });
    await until(() => seen.mock.calls.length > 0, 'the marker');
    expect(seen).toHaveBeenCalledOnce();
    expect([client.getStream('a'), client.getStreams()]).toEqual([undefined, []]);
    client.subscribeStreams(seen)();
  });
});

describe('the list of answers', () => {
  it('is the same array until something changes, and tells its listeners when it does', async () => {
    const { client, connection } = await reading();
    const told = vi.fn(() => {
      throw new Error('a listener that fails');
    });
    const unsubscribe = client.subscribeStreams(told);
    connection.send(start('a'));
    connection.send(start('b'));
    await until(() => client.getStreams().length === 2, 'both');
    expect(client.getStreams()).toBe(client.getStreams());
    expect(told).toHaveBeenCalledTimes(2);
    const [a, b] = client.getStreams();
    connection.send(delta('b', 0, 'B'));
    await until(() => text(client, 'b') === 'B', 'the text');
    expect(client.getStreams()[0]).toBe(a);
    expect(client.getStreams()[1]).not.toBe(b);
    expect(context.logger.error).toHaveBeenCalledTimes(3);
    unsubscribe();
    connection.send(delta('b', 1, 'B'));
    await until(() => text(client, 'b') === 'BB', 'more text');
    expect(told).toHaveBeenCalledTimes(3);
  });

  it('keeps the last 16 that have ended', async () => {
    const { client, connection } = await reading();
    connection.send(start('streaming'));
    for (let index = 0; index < 17; index++) {
      connection.send(start(`a${index}`));
      context.server.publish('ann', end(`a${index}`, `text ${index}`));
      if (index === 15) {
        await until(() => text(client, 'a15'), 'the last that fits');
        expect(client.getStreams()).toHaveLength(17);
      }
    }
    await until(() => text(client, 'a16'), 'one more');
    expect(client.getStreams().map(({ uuid }) => uuid)).toEqual([
      'streaming',
      ...Array.from({ length: 16 }, (_, index) => `a${index + 1}`),
    ]);
  });
});

describe('stopping', () => {
  it('is a send: behind the question that it is about, and over reconnects', async () => {
    const { client, connection } = await reading();
    context.server.accepts = false;
    void client.send({ type: 'message_generate', id: 'asked' });
    const stopped = client.stop({ ref: 'asked' });
    await connection.frame('message_stop');
    connection.terminate();
    const next = await context.server.connection(2);
    const stop = await next.frame('message_stop');
    expect(stop).toMatchObject({ ref: 'asked' });
    const types = next.frames.map(({ type }) => type);
    expect(types.indexOf('message_stop')).toBeGreaterThan(types.indexOf('message_generate'));
    next.send({ type: 'accepted', ref: stop.id });
    expect(await stopped).toEqual({ id: stop.id });
  });

  it('names the answer, and is refused as the server says', async () => {
    const { client, connection } = await reading();
    context.server.accepts = false;
    const stopped = client.stop({ message_uuid: 'nothing' });
    const { id } = await connection.frame('message_stop');
    connection.send({
      type: 'error',
      ref: id,
      code: 'not_found',
      message: 'No.',
      retryable: false,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'not_found' });
  });
});
