// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type Client, createClient, type Message } from '../../src/index.js';
import { streamedMessages } from '../../src/streams/index.js';
import { createFakeServer, type FakeServerOptions } from '../../src/testing/index.js';

let clients: Client[] = [];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  clients.forEach((client) => client.destroy());
  clients = [];
  vi.useRealTimers();
});

async function connected(config: FakeServerOptions = {}) {
  const server = createFakeServer(config);
  const client = createClient({ ...server.options, streams: streamedMessages() });
  clients.push(client);
  const ends: Message[] = [];
  client.on({ message_generate: (message) => void ends.push(message) });
  client.signIn('user');
  await server.settled();
  const text = (uuid = 'a') => client.getStream(uuid)?.text;
  return { server, client, ends, text, isUp: () => client.getSnapshot().isConnected };
}

it('a stream is written at the client, and becomes a message', async () => {
  const { server, client, ends, text } = await connected();
  const stream = server.openStream({ message_uuid: 'a', ref: 'q', conversation_uuid: 'c' });
  stream.append('Hello');
  stream.append(', you');
  expect(text()).toBe('Hello, you');
  expect(client.getStream('a')).toMatchObject({ ref: 'q', start: { conversation_uuid: 'c' } });
  stream.finish({ message: { role: 'assistant' } });
  expect(ends).toMatchObject([
    {
      type: 'message_generate',
      seq: 1,
      message_uuid: 'a',
      attempt: 1,
      status: 'complete',
      conversation_uuid: 'c',
      message: { uuid: 'a', content: 'Hello, you', status: 'complete', role: 'assistant' },
    },
  ]);
  expect(client.getStream('a')?.isGrowing).toBe(false);
  expect(stream.append('more')).toBe(false);
  expect(() => stream.finish()).toThrow('is over already');
});

it('goes on without the client, which reads the rest when it is back: first what is durable', async () => {
  const { server, client, text, isUp } = await connected();
  const whole = server.openStream({ message_uuid: 'whole' });
  const half = server.openStream({ message_uuid: 'a' });
  half.append('Hello');
  server.cut();
  half.append(', you');
  whole.finish();
  server.openStream({ message_uuid: 'new' }).append('New');
  const seen: string[] = [];
  client.on({
    message_generate: () => seen.push('end'),
    message_start: () => seen.push('start'),
    message_delta: ({ offset }) => seen.push(`text from ${offset}`),
    pending_check_complete: ({ data }) => seen.push(`${data.streams} streams`),
  });
  server.restore();
  await server.clock.until(isUp);
  await server.settled();
  expect(seen).toEqual(['end', 'text from 5', 'start', 'text from 0', '2 streams']);
  expect([text(), text('new')]).toEqual(['Hello, you', 'New']);
});

it('what is lost, comes twice or out of turn makes no wrong text', async () => {
  const { server, text } = await connected();
  const stream = server.openStream({ message_uuid: 'a' });
  for (const fault of ['loseNext', 'duplicateNext', 'delayNext'] as const) {
    for (const piece of ['one ', 'two ', 'three ', 'four ']) {
      stream.append(piece);
      server.network[fault] = 1;
      await server.settled();
    }
  }
  server.network.delayNext = server.network.duplicateNext = server.network.loseNext = 0;
  stream.append('end');
  await server.settled();
  expect(text()).toBe(`${'one two three four '.repeat(3)}end`);
});

it('a retry is another attempt at the same answer, and ends the one before', async () => {
  const { server, client, text } = await connected();
  const first = server.openStream({ message_uuid: 'a' });
  first.append('A wrong beginning');
  const second = server.openStream({ message_uuid: 'a' });
  expect(first.append(' goes on')).toBe(false);
  second.append('Right');
  expect([text(), client.getStream('a')?.attempt]).toEqual(['Right', 2]);
});

it('an answer that is stopped takes no more text, and ends as stopped', async () => {
  const onStop = vi.fn();
  const { server, client, ends } = await connected({ onStop });
  const stream = server.openStream({ message_uuid: 'a' });
  stream.append('Hello');
  await client.stop({ message_uuid: 'a' });
  expect(stream.isStopped).toBe(true);
  expect(stream.append(', you')).toBe(false);
  stream.finish();
  expect(ends).toMatchObject([{ status: 'stopped', message: { content: 'Hello' } }]);
  expect(onStop).toHaveBeenCalledOnce();
});

it('a stop by the question comes in time for an answer that has not begun', async () => {
  const { server, client } = await connected();
  await client.stop({ ref: 'q' });
  expect(server.openStream({ ref: 'q' }).isStopped).toBe(true);
  expect(server.openStream({ ref: 'other' }).isStopped).toBe(false);
  await expect(client.stop({ message_uuid: 'unknown' })).rejects.toMatchObject({
    code: 'not_found',
  });
});

it('who does not ask sees no stream, only its message', async () => {
  const { server } = await connected();
  const plain = createClient(server.options);
  clients.push(plain);
  const seen: string[] = [];
  plain.on({
    message_start: () => seen.push('start'),
    message_generate: () => seen.push('end'),
  });
  plain.signIn('user');
  await server.settled();
  const stream = server.openStream();
  stream.append('Hello');
  stream.finish();
  expect(seen).toEqual(['end']);
  expect(server.connections[1]?.seesStreams).toBe(false);
});

it('erasing a user ends the streams', async () => {
  const { server, client, isUp } = await connected();
  const stream = server.openStream({ message_uuid: 'a' });
  server.erase();
  await server.clock.until(isUp);
  expect(stream.append('late')).toBe(false);
  expect(client.getStreams()).toEqual([]);
});
