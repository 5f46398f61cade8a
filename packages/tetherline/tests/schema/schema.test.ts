import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';

import type { Client } from '../../src/index.js';
import { defineMessages } from '../../src/schema/index.js';
import { givenServer, isConnected } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

const LIBRARIES = {
  zod: z.object({ title: z.string() }),
  valibot: v.object({ title: v.string() }),
  arktype: type({ title: 'string' }),
};

/** Resolves once everything that was published before it has been handed out. */
async function allHandedOut(client: Client): Promise<void> {
  const marker = vi.fn();
  client.on({ marker });
  context.server.publish('ann', { type: 'marker' });
  await until(() => marker.mock.calls.length > 0, 'the marker');
}

describe('a message that is not as its schema has it', () => {
  it.each(Object.keys(LIBRARIES) as (keyof typeof LIBRARIES)[])(
    'is reported once and calls no handler, with %s',
    async (library) => {
      const onInvalidMessage = vi.fn();
      const client = context.client({
        messages: defineMessages({ news: LIBRARIES[library] }),
        onInvalidMessage,
      });
      const [first, second, other] = [vi.fn(), vi.fn(), vi.fn()];
      client.on({ news: first, other });
      client.on({ news: second });
      client.signIn('ann');
      await isConnected(client);
      context.server.publish('ann', { type: 'news', title: 7 });
      context.server.publish('ann', { type: 'other', title: 7 });
      context.server.publish('ann', { type: 'news', title: 'Hi' });
      await allHandedOut(client);
      for (const handler of [first, second]) {
        expect(handler.mock.calls.map(([message]) => (message as { seq: number }).seq)).toEqual([
          3,
        ]);
      }
      expect(other).toHaveBeenCalledOnce();
      expect(onInvalidMessage).toHaveBeenCalledOnce();
      expect(onInvalidMessage.mock.calls[0]![0]).toMatchObject({ type: 'news', title: 7, seq: 1 });
      expect(context.logger.error).toHaveBeenCalledOnce();
      expect(context.logger.error.mock.calls[0]![0]).toMatch(
        /^Tetherline: A message of type "news" \(id m1\) is not as its schema has it, so its handlers are not called: title: \S/,
      );
    },
  );

  it('counts as handled: the server hears that it need not come again', async () => {
    const client = context.client({ messages: defineMessages({ news: LIBRARIES.zod }) });
    client.on({ news: () => undefined });
    client.signIn('ann');
    await isConnected(client);
    context.server.publish('ann', { type: 'news', title: 7 });
    context.server.publish('ann', { type: 'news', title: 'Hi' });
    const connection = await context.server.connection(1);
    await until(
      () => connection.frames.some((frame) => frame.type === 'ack' && frame.seq === 2),
      'the acknowledgement',
    );
  });

  it('is looked at when it is handed out, even if it had to wait for its handler', async () => {
    const onInvalidMessage = vi.fn();
    const client = context.client({
      messages: defineMessages({ news: LIBRARIES.zod }),
      onInvalidMessage,
    });
    context.server.publish('ann', { type: 'news', title: 7 });
    client.signIn('ann');
    await isConnected(client);
    await allHandedOut(client);
    expect(onInvalidMessage).not.toHaveBeenCalled();
    const news = vi.fn();
    client.on({ news });
    await until(() => onInvalidMessage.mock.calls.length > 0, 'the report');
    expect(news).not.toHaveBeenCalled();
  });
});

it('handlers get what the schema made of the fields, and the other fields as they came', async () => {
  const client = context.client({
    messages: defineMessages({
      news: z.object({
        at: z.string().transform((text) => new Date(text)),
        by: z.string().default('us'),
      }),
    }),
  });
  const news = vi.fn();
  client.on({ news });
  client.signIn('ann');
  await isConnected(client);
  context.server.publish('ann', { type: 'news', at: '2026-01-02T00:00:00Z', extra: 1 });
  await until(() => news.mock.calls.length > 0, 'the message');
  expect(news.mock.calls[0]![0]).toEqual({
    type: 'news',
    id: 'm1',
    seq: 1,
    at: new Date('2026-01-02T00:00:00Z'),
    by: 'us',
    extra: 1,
  });
});

it.each([
  [
    'answers with a promise',
    z.object({ title: z.string().refine(async () => true) }),
    'answers at once',
  ],
  [
    'throws',
    {
      '~standard': {
        version: 1 as const,
        vendor: 'own',
        validate: (): never => {
          throw new Error('broken');
        },
      },
    },
    'broken',
  ],
])('a schema that %s costs its messages only', async (_what, schema, why) => {
  const onInvalidMessage = vi.fn();
  const client = context.client({ messages: defineMessages({ news: schema }), onInvalidMessage });
  const news = vi.fn();
  client.on({ news });
  client.signIn('ann');
  await isConnected(client);
  context.server.publish('ann', { type: 'news', title: 'Hi' });
  await allHandedOut(client);
  expect(news).not.toHaveBeenCalled();
  expect(onInvalidMessage.mock.calls[0]![1]).toMatchObject([
    { message: expect.stringContaining(why) as string },
  ]);
  expect(context.logger.error.mock.calls[0]![0]).toContain('The schema for "news" failed');
});
