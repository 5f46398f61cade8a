import { afterEach, expect, it, vi } from 'vitest';
import WebSocket from 'ws';

import {
  type Client,
  type ClientOptions,
  createClient,
  type StopTarget,
  type TetherlineError,
} from '../src/index.js';
import { streamedMessages } from '../src/streams/index.js';
import { RecordedServer } from './support/recorded-server.js';
import type { Frame } from './support/scripted-server.js';
import { until } from './support/until.js';

/** What the server of 2026-11-26 said, to the page of now. `compat/README.md` has the whole of it. */
let server: RecordedServer;
let client: Client;

afterEach(async () => {
  client.destroy();
  await server.stop();
});

async function given(story: string, options: Partial<ClientOptions> = {}) {
  server = await RecordedServer.of(story);
  const seen: unknown[] = [];
  const outcomes = new Map<unknown, string>();
  client = createClient({
    url: server.url,
    getToken: () => 'token',
    WebSocket,
    debug: false,
    device: 'laptop',
    logger: { log: vi.fn(), warn: vi.fn(), error: vi.fn() },
    streams: streamedMessages(),
    ...options,
  });
  client.on({
    note: ({ n }) => void seen.push(n),
    message_generate: ({ message }) => void seen.push((message as Frame).content),
  });
  client.signIn('ann');
  const sent: Promise<unknown>[] = [];
  const play = () =>
    server.play(async (frame) => {
      if (frame === 'goodbye') {
        await Promise.all(sent);
        client.signOut();
        return;
      }
      const { type, id, ...fields } = frame;
      const settled =
        type === 'message_stop' ? client.stop(fields as unknown as StopTarget) : client.send(frame);
      sent.push(
        settled.then(
          () => outcomes.set(id, 'accepted'),
          (error: unknown) => outcomes.set(id, (error as TetherlineError).code),
        ),
      );
    });
  return { seen, outcomes, play };
}

it('reads, sends and comes back', async () => {
  const { seen, outcomes, play } = await given('messages');
  await play();
  expect(seen).toEqual([1, 2, 3, 4]);
  expect(Object.fromEntries(outcomes)).toEqual({
    q1: 'accepted',
    q2: 'too_long',
    q3: 'accepted',
    q4: 'accepted',
  });
});

it('shows streams, and stops them', async () => {
  const { seen, outcomes, play } = await given('streams');
  const texts = new Set<string>();
  client.subscribeStreams(() => {
    for (const { uuid, text, status } of client.getStreams()) {
      texts.add(`${uuid} ${text} ${status ?? '…'}`);
    }
  });
  await play();
  expect(seen).toEqual(['Once 👍 upon a time', 'On and on', '']);
  expect([...outcomes.values()]).toEqual(['accepted', 'accepted', 'not_found']);
  expect([...texts]).toEqual(
    expect.arrayContaining([
      'a1 Once 👍  …',
      'a1 Once 👍 upon a  …',
      'a1 Once 👍 upon a time complete',
      'a2 On and on stopped',
    ]),
  );
});

it('says what was lost', async () => {
  const onGap = vi.fn();
  const { seen, play } = await given('gaps', { onGap });
  await play();
  expect(seen).toEqual([1, 5, 6, 7, 8, 9]);
  expect(onGap.mock.calls).toEqual([[{ after: 1, next: 5 }], [{ after: 8, next: 8 }]]);
});

it('pings, and hears of a restart', async () => {
  const { play } = await given('liveness');
  const statuses: string[] = [];
  client.subscribe(() => void statuses.push(client.getSnapshot().status));
  const playing = play();
  // The story's second connection is that of a page that was opened later.
  await until(() => statuses.includes('signed_out'), 'the goodbye');
  client.signIn('ann');
  await playing;
  await until(() => client.getSnapshot().status === 'waiting', 'the restart');
});

it('renews its token, and tries fresh ones when one is refused', async () => {
  const onIdentityRefused = vi.fn();
  const { outcomes, play } = await given('identity', { onIdentityRefused });
  const unsubscribe = client.subscribe(() => {
    if (client.getSnapshot().status === 'signed_out') {
      unsubscribe();
      queueMicrotask(() => client.signIn('ann'));
    }
  });
  // First the tokens are nobody's, then they are somebody else's: fresh ones are tried all the same.
  await play();
  await until(() => client.getSnapshot().waitReason === 'refused', 'the last refusal');
  client.leave();
  expect(onIdentityRefused).toHaveBeenCalledExactlyOnceWith('ann', { isFinal: false });
  expect(outcomes.get('q1')).toBe('accepted');
});
