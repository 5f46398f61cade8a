// @vitest-environment jsdom
import { cleanup, render, screen } from '@testing-library/react';
import { StrictMode, useState } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';

import {
  createTetherline,
  useWebSocketHandlers,
  WebSocketContext,
  WebSocketInitializer,
} from '../../src/react/index.js';
import { defineMessages } from '../../src/schema/index.js';
import { mockWebSocketContext } from '../../src/testing/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();
afterEach(cleanup);

/** A context whose registrations are counted. */
function counted() {
  const mock = mockWebSocketContext();
  const registerHandlers = vi.fn(mock.registerHandlers);
  return {
    ...mock,
    registerHandlers: registerHandlers as typeof mock.registerHandlers,
    spy: registerHandlers,
  };
}

describe('useWebSocketHandlers', () => {
  it('calls the closures of the latest render, and registers once', () => {
    const seen: number[] = [];
    function Feature({ round }: { round: number }) {
      useWebSocketHandlers({ news: () => seen.push(round) });
      return null;
    }
    const mock = counted();
    const tree = (round: number) => (
      <WebSocketContext.Provider value={mock}>
        <Feature round={round} />
      </WebSocketContext.Provider>
    );
    const { rerender, unmount } = render(tree(1));
    mock.deliver({ type: 'news' });
    rerender(tree(2));
    rerender(tree(3));
    mock.deliver({ type: 'news' });
    expect(seen).toEqual([1, 3]);
    expect(mock.spy).toHaveBeenCalledOnce();
    unmount();
    mock.deliver({ type: 'news' });
    expect(seen).toEqual([1, 3]);
  });

  it('registers anew when the set of types changes', () => {
    const seen: string[] = [];
    function Feature({ types }: { types: string[] }) {
      useWebSocketHandlers(
        Object.fromEntries(types.map((type) => [type, () => void seen.push(type)])),
      );
      return null;
    }
    const mock = counted();
    const tree = (...types: string[]) => (
      <WebSocketContext.Provider value={mock}>
        <Feature types={types} />
      </WebSocketContext.Provider>
    );
    const { rerender } = render(tree('a', 'b'));
    rerender(tree('b', 'c'));
    for (const type of ['a', 'b', 'c']) {
      mock.deliver({ type });
    }
    expect(seen).toEqual(['b', 'c']);
    expect(mock.spy).toHaveBeenCalledTimes(2);
  });

  it('holds a message back for a handler that returns a promise', async () => {
    let settle = () => {};
    function Feature() {
      useWebSocketHandlers({ news: () => new Promise<void>((resolve) => (settle = resolve)) });
      return null;
    }
    const client = await context.connected();
    render(
      <WebSocketInitializer client={client} user="ann">
        <Feature />
      </WebSocketInitializer>,
    );
    context.server.publish('ann', { type: 'news' });
    context.server.publish('ann', { type: 'marker' });
    const marker = vi.fn();
    client.on({ marker });
    await until(() => marker.mock.calls.length > 0, 'the next message');
    const connection = await context.server.connection(1);
    expect(connection.ofType('ack')).toEqual([]);
    settle();
    expect(await connection.frame('ack')).toMatchObject({ seq: 2 });
  });

  it('under StrictMode is called once per message', async () => {
    const news = vi.fn();
    function Feature() {
      useWebSocketHandlers({ news });
      return null;
    }
    render(
      <StrictMode>
        <WebSocketInitializer {...context.options()} user="ann">
          <Feature />
        </WebSocketInitializer>
      </StrictMode>,
    );
    await context.server.connection(1);
    context.server.publish('ann', { type: 'news' });
    await until(() => news.mock.calls.length > 0, 'the message');
    expect(news).toHaveBeenCalledOnce();
  });
});

describe('createTetherline', () => {
  it('gives the bindings that know the message types, and checks what comes', async () => {
    const onInvalidMessage = vi.fn();
    const bindings = createTetherline(defineMessages({ news: z.object({ title: z.string() }) }));
    function Titles() {
      const [titles, setTitles] = useState<string[]>([]);
      bindings.useWebSocketHandlers({
        news: ({ title }) => setTitles((before) => [...before, title.toUpperCase()]),
      });
      return <p>{titles.join(' ')}</p>;
    }
    render(
      <bindings.WebSocketInitializer
        {...context.options()}
        onInvalidMessage={onInvalidMessage}
        user="ann"
      >
        <Titles />
      </bindings.WebSocketInitializer>,
    );
    await context.server.connection(1);
    context.server.publish('ann', { type: 'news', title: 'one' });
    context.server.publish('ann', { type: 'news', title: 2 });
    context.server.publish('ann', { type: 'news', title: 'three' });
    expect(await screen.findByText('ONE THREE')).toBeTruthy();
    expect(onInvalidMessage).toHaveBeenCalledOnce();
  });

  it('without schemas checks nothing, and shares its contexts with the plain bindings', async () => {
    const bindings = createTetherline<{ news: { title: string } }>();
    const news = vi.fn();
    function Feature() {
      bindings.useWebSocketHandlers({ news });
      return null;
    }
    const mock = mockWebSocketContext();
    render(
      <WebSocketContext.Provider value={mock}>
        <Feature />
      </WebSocketContext.Provider>,
    );
    mock.deliver({ type: 'news', title: 7 });
    expect(news).toHaveBeenCalledOnce();
  });
});
