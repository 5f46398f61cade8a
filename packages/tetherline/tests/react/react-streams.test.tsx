// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { memo, StrictMode, useState } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { createClient, type StreamInfo } from '../../src/index.js';
import {
  useStreamedMessage,
  useStreamedMessages,
  useStreams,
  useWebSocketContext,
  WebSocketInitializer,
} from '../../src/react/index.js';
import { createFakeServer } from '../../src/testing/index.js';
import { delta, end, start } from '../support/answers.js';

const FRAME_MS = 16;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  Reflect.deleteProperty(document, 'visibilityState');
});

const renders = new Map<string, number>();
const Answer = memo(function Answer({ uuid }: { uuid: string | null }) {
  const answer = useStreamedMessage(uuid);
  renders.set(String(uuid), (renders.get(String(uuid)) ?? 0) + 1);
  return <p data-testid={uuid}>{answer ? `${answer.text}${answer.isGrowing ? '…' : ''}` : '-'}</p>;
});

function Streaming() {
  const streaming = useStreamedMessages().filter(({ isGrowing }) => isGrowing);
  return <p data-testid="streaming">{streaming.map(({ uuid }) => uuid).join(' ')}</p>;
}

async function given(...uuids: (string | null)[]) {
  const server = createFakeServer({ user: 'ann' });
  const pass = (ms: number) => act(() => server.clock.advance(ms));
  const tree = (user: string | null) => (
    <StrictMode>
      <WebSocketInitializer {...server.options} user={user}>
        {uuids.map((uuid) => (
          <Answer key={uuid} uuid={uuid} />
        ))}
        <Streaming />
      </WebSocketInitializer>
    </StrictMode>
  );
  const { rerender } = render(tree('ann'));
  await pass(1_000);
  renders.clear();
  const [connection] = server.open;
  return { server, pass, connection: connection!, signOut: () => rerender(tree(null)) };
}

const shown = (uuid: string) => screen.getByTestId(uuid).textContent;
// StrictMode renders everything twice.
const rendersOf = (uuid: string) => (renders.get(uuid) ?? 0) / 2;

describe('a client that the application has made', () => {
  // Streams were shown with options, and with a client of one's own they never were.
  it.each(['before', 'after'])('shows answers, signed in %s it is provided', async (when) => {
    const server = createFakeServer({ user: 'ann' });
    const client = createClient(server.options);
    if (when === 'before') {
      client.signIn('ann');
      await act(() => server.clock.advance(1_000));
    }
    render(
      <StrictMode>
        <WebSocketInitializer client={client} user="ann">
          <Answer uuid="a" />
        </WebSocketInitializer>
      </StrictMode>,
    );
    await act(() => server.clock.advance(1_000));
    const answer = server.openStream({ message_uuid: 'a' });
    answer.append('Hello');
    await act(() => server.clock.advance(1_000));
    expect(shown('a')).toBe('Hello…');
    expect(server.open).toHaveLength(1);
    client.destroy();
  });
});

describe('useStreamedMessage', () => {
  it('shows a stream, and its message when it has ended', async () => {
    const { server, pass, connection } = await given('a');
    expect(shown('a')).toBe('-');
    connection.send(start('a'));
    await pass(FRAME_MS);
    expect([shown('a'), shown('streaming')]).toEqual(['…', 'a']);
    connection.send(delta('a', 0, 'Hello'));
    await pass(FRAME_MS);
    expect(shown('a')).toBe('Hello…');
    server.publish(end('a', 'Hello!'));
    await pass(FRAME_MS);
    expect([shown('a'), shown('streaming')]).toEqual(['Hello!', '']);
  });

  it('renders once per frame whatever comes, and no component of another answer', async () => {
    const { pass, connection } = await given('a', 'b', null);
    connection.send(start('a'));
    connection.send(start('b'));
    await pass(FRAME_MS);
    renders.clear();
    for (let index = 0; index < 5_000; index++) {
      connection.send(delta('a', index, 'x'));
      if (index % 1_000 === 999) {
        await pass(FRAME_MS);
      }
    }
    expect(shown('a')).toBe(`${'x'.repeat(5_000)}…`);
    expect(['a', 'b', 'null'].map(rendersOf)).toEqual([5, 0, 0]);
  });

  it('is gone with whoever signs out, before the next frame', async () => {
    // Whoever signed in on the same page could read it for that long.
    const { pass, connection, signOut } = await given('a');
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await pass(FRAME_MS);
    expect(shown('a')).toBe('Hello…');
    signOut();
    expect([shown('a'), shown('streaming')]).toEqual(['-', '']);
  });

  it('does not wait for frames on a hidden page, which has none', async () => {
    const { server, connection } = await given('a');
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    connection.send(start('a'));
    connection.send(delta('a', 0, 'Hello'));
    await act(() => server.settled());
    expect(shown('a')).toBe('Hello…');
  });

  it('follows another answer at once, and one that was there before', async () => {
    const server = createFakeServer({ user: 'ann' });
    function Chosen() {
      const [uuid, setUuid] = useState<string | null>(null);
      const text = useStreamedMessage(uuid)?.text ?? '-';
      return (
        <button data-testid="chosen" onClick={() => setUuid(uuid ? null : 'a')}>
          {text}
        </button>
      );
    }
    render(
      <WebSocketInitializer {...server.options} user="ann">
        <Chosen />
      </WebSocketInitializer>,
    );
    await act(() => server.clock.advance(1_000));
    server.open[0]?.send(start('a'));
    server.open[0]?.send(delta('a', 0, 'Hello'));
    await act(() => server.clock.advance(FRAME_MS));
    expect(shown('chosen')).toBe('-');
    fireEvent.click(screen.getByTestId('chosen'));
    expect(shown('chosen')).toBe('Hello');
    fireEvent.click(screen.getByTestId('chosen'));
    expect(shown('chosen')).toBe('-');
  });

  it('is nothing on a server', () => {
    const server = createFakeServer({ user: 'ann' });
    const tree = (
      <WebSocketInitializer client={createClient(server.options)} user="ann">
        <Answer uuid="a" />
      </WebSocketInitializer>
    );
    expect(renderToString(tree)).toContain('-');
  });
});

describe('useStreams', () => {
  // Whoever asked only what is written in a conversation rendered with every word of it.
  it('knows the answers of one conversation, and renders when one begins, begins anew or ends', async () => {
    const server = createFakeServer({ user: 'ann' });
    const given: (readonly StreamInfo[])[] = [];
    function Writing() {
      const streams = useStreams((start) => start['conversation'] === 'c1');
      given.push(streams);
      return <p>{streams.map(({ uuid, isGrowing }) => `${uuid}${isGrowing ? '…' : ''}`)}</p>;
    }
    const { container } = render(
      <WebSocketInitializer {...server.options} user="ann">
        <Writing />
      </WebSocketInitializer>,
    );
    const pass = (ms: number) => act(() => server.clock.advance(ms));
    await pass(1_000);
    const [connection] = server.open;
    given.length = 0;
    connection?.send({ ...start('a'), conversation: 'c1' });
    connection?.send({ ...start('b'), conversation: 'c2' });
    await pass(FRAME_MS);
    for (let index = 0; index < 5; index++) {
      connection?.send(delta('a', index, 'x'));
      connection?.send(delta('b', index, 'y'));
      await pass(FRAME_MS);
    }
    expect(container.textContent).toBe('a…');
    expect(given).toHaveLength(1);
    expect(given[0]?.[0]).not.toHaveProperty('text');
    server.publish(end('a', 'xxxxx'));
    await pass(FRAME_MS);
    expect(container.textContent).toBe('a');
    expect(given).toHaveLength(2);
  });
});

it('the context stops an answer', async () => {
  const server = createFakeServer({ user: 'ann' });
  function Button() {
    const { stop } = useWebSocketContext();
    return <button onClick={() => void stop({ ref: 'asked' })}>Stop</button>;
  }
  render(
    <WebSocketInitializer {...server.options} user="ann">
      <Button />
    </WebSocketInitializer>,
  );
  await act(() => server.clock.advance(1_000));
  fireEvent.click(screen.getByText('Stop'));
  await act(() => server.settled());
  expect(server.open[0]?.frames.at(-1)).toMatchObject({ type: 'message_stop', ref: 'asked' });
});
