// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { webSocketUrl } from '../../src/core/connection/address.js';
import * as Tab from '../../src/core/tabs/kinds.js';
import type { Post } from '../../src/core/tabs/tabs.js';
import { STREAMS_KNOWN_MAX, SUBPROTOCOL } from '../../src/generated/protocol.js';
import type { Client, ClientOptions } from '../../src/index.js';
import { streamedMessages } from '../../src/streams/index.js';
import { delta, end, start } from '../support/answers.js';
import { givenServer, isConnected } from '../support/setup.js';
import { givenTabs } from '../support/tabs.js';
import { until } from '../support/until.js';

// Before the server, whose clean-up still needs them.
givenTabs();
const context = givenServer();

const HELLO = 1;
const LEAD = 2;
const VISIBLE_AND_CONNECTED = 3;

const shows = (client: Client, wanted: string) =>
  until(() => client.getStream('a')?.text === wanted, `"${wanted}"`);

describe('a stream in several tabs', () => {
  it('the leading one says what the others are missing, and the server does not', async () => {
    const tab = () => {
      const client = context.client({ streams: streamedMessages(), tabs: 'shared', device: 'd' });
      client.signIn('ann');
      return client;
    };
    const leader = tab();
    await isConnected(leader);
    const connection = await context.server.connection(1);
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(leader, 'Hello');
    const follower = tab();
    const seen: unknown[] = [];
    follower.on({ message_delta: ({ text }) => seen.push(text) });
    await isConnected(follower);
    await shows(follower, 'Hello');
    connection.send(delta('a', 5, ', you'));
    await shows(follower, 'Hello, you');
    expect(follower.getStream('a')).toMatchObject({ ref: 'asked', isGrowing: true });
    expect(context.server.connections).toHaveLength(1);

    const third = tab();
    await isConnected(third);
    await shows(third, 'Hello, you');
    expect(seen).toEqual(['Hello', ', you']);

    leader.leave();
    const next = await context.server.connection(2);
    expect(await next.frame('get_pending')).toMatchObject({
      have: [{ message_uuid: 'a', attempt: 1, offset: 10 }],
    });
    next.send(delta('a', 10, '.'));
    await shows(follower, 'Hello, you.');
    await shows(third, 'Hello, you.');
    context.server.publish('ann', end('a', 'Hello, you.'));
    await until(() => third.getStream('a')?.status, 'the end');
  });

  it('goes on where another tab had more of it, which is lost', async () => {
    // The other tab's longer text was taken for this one's: it was forgotten, and nobody sent it again.
    const client = context.client({ streams: streamedMessages(), tabs: 'shared', device: 'd' });
    client.signIn('ann');
    await isConnected(client);
    const connection = await context.server.connection(1);
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(client, 'Hello');
    connection.send({ type: 'message_lost', message_uuid: 'a', attempt: 1, offset: 9, hash: 1 });
    connection.send(delta('a', 5, '!'));
    await shows(client, 'Hello!');
  });

  it('the leading one says nothing to whoever reads another history', async () => {
    // A backup was restored. A tab that had heard of it was shown text of before.
    const leader = context.client({ streams: streamedMessages(), tabs: 'shared', device: 'd' });
    let epoch: unknown;
    leader.on({ connection_established: (established) => (epoch = established.epoch) });
    leader.signIn('ann');
    await isConnected(leader);
    const connection = await context.server.connection(1);
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(leader, 'Hello');

    const [stranger, fellow] = [77, 78];
    const told: unknown[] = [];
    const url = webSocketUrl(context.server.url, 'ann', 'd');
    const channel = new BroadcastChannel(`${SUBPROTOCOL} ${url} ann`);
    channel.onmessage = ({ data }: MessageEvent<Post>) => {
      if (data[0] === Tab.FRAME) {
        told.push(data[2]);
      }
    };
    channel.postMessage([Tab.ASK, stranger, 0, 0, 0, 0, 'another'] satisfies Post);
    channel.postMessage([Tab.ASK, fellow, 0, 0, 0, 0, epoch] satisfies Post);
    await until(() => told.length >= 2, 'what streams');
    expect(told).toEqual([fellow, fellow]);

    // A backup came back by hand, in the same epoch: its text was put behind that of before.
    const another = { have: [{ message_uuid: 'a', attempt: 1, offset: 3, hash: 1 }] };
    const older = { have: [{ message_uuid: 'a', attempt: 1, offset: 3 }] };
    channel.postMessage([Tab.ASK, stranger, 0, 0, 0, 0, epoch, another] satisfies Post);
    channel.postMessage([Tab.ASK, fellow, 0, 0, 0, 0, epoch, older] satisfies Post);
    await until(() => told.length >= 4, 'what streams');
    channel.close();
    expect(told).toEqual([fellow, fellow, fellow, fellow]);
  });

  it('is shown where it is wanted, whoever leads and whenever that is', async () => {
    // A leading tab that shows no streams asked for none, and no other tab got any.
    const tab = (options: Partial<ClientOptions> = {}) => {
      const client = context.client({ ...options, tabs: 'shared', device: 'd' });
      client.signIn('ann');
      return client;
    };
    const plain = tab();
    await isConnected(plain);
    const connection = await context.server.connection(1);
    expect(await connection.frame('get_pending')).not.toHaveProperty('have');

    const reader = tab({ streams: streamedMessages() });
    await isConnected(reader);
    expect(await connection.frame('get_pending', 2)).toMatchObject({ have: [] });
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(reader, 'Hello');

    // It has what it has, and whoever comes later gets all of it from the server.
    const late = tab({ streams: streamedMessages() });
    await isConnected(late);
    expect(await connection.frame('get_pending', 3)).toMatchObject({ have: [] });
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    connection.send(delta('a', 5, ', you'));
    for (const client of [reader, late]) {
      await shows(client, 'Hello, you');
    }

    // What the leading tab asks for itself takes nothing away from the others.
    plain.requestPending();
    expect(await connection.frame('get_pending', 4)).toMatchObject({ have: [] });
    connection.send(delta('a', 12, '?'));
    const hole = { have: [{ message_uuid: 'a', attempt: 1, offset: 10, check: true }] };
    expect(await connection.frame('get_pending', 5)).toMatchObject(hole);
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello, you.?'));
    for (const client of [reader, late]) {
      await shows(client, 'Hello, you.?');
    }

    // Nobody is left who looks.
    reader.leave();
    late.leave();
    plain.reconnect();
    (await context.server.connection(1)).close(1012);
    const next = await context.server.connection(2);
    expect(await next.frame('get_pending')).not.toHaveProperty('have');
  });

  it.each([{ streams: streamedMessages() }, {}])(
    'one that repeats its question leaves the others their room in it',
    async (options) => {
      // While the leading tab's own question waited, each repeat of another's filled the list of what the
      // server was to look at. What a third tab had was not looked at, and stayed though it was lost.
      context.server.replays = false;
      const leader = context.client({ ...options, tabs: 'shared', device: 'd' });
      let epoch: unknown;
      leader.on({ connection_established: (established) => (epoch = established.epoch) });
      leader.signIn('ann');
      await isConnected(leader);
      const connection = await context.server.connection(1);
      await connection.frame('get_pending');

      const url = webSocketUrl(context.server.url, 'ann', 'd');
      const channel = new BroadcastChannel(`${SUBPROTOCOL} ${url} ann`);
      const claim = (uuid: string) => ({ message_uuid: uuid, attempt: 1, offset: 5, hash: 1 });
      const ask = (tab: number, uuid: string) =>
        channel.postMessage([
          ...([Tab.ASK, tab, 0, 0, 0, 0, epoch] as const),
          { have: [claim(uuid)], id: 'm1' },
        ] satisfies Post);
      for (let repeat = 0; repeat < STREAMS_KNOWN_MAX; repeat += 1) {
        ask(77, 'a');
      }
      ask(78, 'b');
      // Once this is answered, all of that has come.
      const isAnswered = new Promise((resolve) => (channel.onmessage = resolve));
      channel.postMessage([HELLO, 77, 0, 0, 0, 0] satisfies Post);
      await isAnswered;
      channel.close();
      connection.send({ type: 'pending_check_complete', count: 0, recovered: true, head: 0 });
      const have = ['a', 'b'].map((uuid) => ({ ...claim(uuid), check: true }));
      expect(await connection.frame('get_pending', 2)).toMatchObject({ have });
    },
  );

  it('goes on when the lead passes to a tab that does not show it', async () => {
    const tab = (options: Partial<ClientOptions> = {}) => {
      const client = context.client({ ...options, tabs: 'shared', device: 'd' });
      client.signIn('ann');
      return client;
    };
    const leader = tab({ streams: streamedMessages() });
    await isConnected(leader);
    const plain = tab();
    await isConnected(plain);
    const reader = tab({ streams: streamedMessages() });
    await isConnected(reader);
    const connection = await context.server.connection(1);
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await shows(reader, 'Hello');
    leader.leave();
    const next = await context.server.connection(2);
    await until(() => next.ofType('get_pending').some(({ have }) => have), 'the question');
    const claim = { message_uuid: 'a', attempt: 1, offset: 5, check: true };
    const asked = next.ofType('get_pending').find(({ have }) => have);
    expect(asked).toMatchObject({ have: [claim] });
    next.send(start('a'));
    next.send(delta('a', 0, 'Hello, you'));
    await shows(reader, 'Hello, you');
    expect(plain.getStreams()).toEqual([]);
  });

  it('brings the lead to a tab of this version that is looked at', async () => {
    // Tabs of before ask for no answers that only others show: they say no version.
    let isAsked = false;
    const url = webSocketUrl(context.server.url, 'ann', 'd');
    const name = `${SUBPROTOCOL} ${url} ann`;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const stolen = navigator.locks
      .request(name, {}, () => held)
      .then(
        () => false,
        () => true,
      );
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [kind, from] }: MessageEvent<Post>) => {
      if (kind === HELLO) {
        isAsked = true;
        channel.postMessage([LEAD, 77, from, VISIBLE_AND_CONNECTED, 0, 0] satisfies Post);
      }
    };
    const client = context.client({ streams: streamedMessages(), tabs: 'shared', device: 'd' });
    client.signIn('ann');
    await until(() => isAsked, 'the question who leads');
    expect(await stolen).toBe(true);
    release();
    channel.close();
    await isConnected(client);
    expect(context.server.open).toHaveLength(1);
  }, 20_000);
});
