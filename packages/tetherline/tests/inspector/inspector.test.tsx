// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, within } from '@testing-library/react';
import type { ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { createClient, type HandlerMap } from '../../src/index.js';
import { WebSocketInspector } from '../../src/inspector/index.js';
import { useWebSocketHandlers, WebSocketInitializer } from '../../src/react/index.js';
import { streamedMessages } from '../../src/streams/index.js';
import { createFakeServer } from '../../src/testing/index.js';
import { FRAME_TEXT_MAX, FRAMES_MAX } from '../../src/inspector/records.js';

const SECOND_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

async function given(handlers: HandlerMap = {}, page: ReactNode = null) {
  const server = createFakeServer({ user: 'ann' });
  const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const client = createClient({ ...server.options, logger, streams: streamedMessages() });
  client.on(handlers);
  render(
    <WebSocketInitializer client={client} user="ann">
      <input aria-label="Field" />
      {page}
      <WebSocketInspector />
    </WebSocketInitializer>,
  );
  const pass = (ms: number) => act(() => server.clock.advance(ms));
  await pass(SECOND_MS);
  const host = document.querySelector('[data-tetherline-inspector]');
  const panel = within(host!.shadowRoot!.querySelector('aside')!);
  return { server, client, panel, pass };
}

type World = Awaited<ReturnType<typeof given>>;

const press = (target: Element = document.body) =>
  fireEvent.keyDown(target, { code: 'Backquote', key: '`' });
const view = ({ panel }: World, name: string) => fireEvent.click(panel.getByRole('tab', { name }));

// In Next's development server every page with the panel was thrown away and rendered anew.
it('hydrates without a mismatch, and is there then', async () => {
  const server = createFakeServer({ user: 'ann' });
  const tree = (
    <WebSocketInitializer {...server.options} user="ann">
      <p>The page</p>
      <WebSocketInspector />
    </WebSocketInitializer>
  );
  const container = document.body.appendChild(document.createElement('div'));
  // jsdom has a window, which no server has: React 18 warns of layout effects there.
  vi.spyOn(console, 'error').mockReturnValue();
  container.innerHTML = renderToString(tree);
  vi.restoreAllMocks();
  expect(container.innerHTML).toBe('<p>The page</p>');
  const recovered = vi.fn();
  render(tree, { container, hydrate: true, onRecoverableError: recovered });
  await act(() => server.clock.advance(SECOND_MS));
  expect(recovered).not.toHaveBeenCalled();
  const host = document.querySelector('[data-tetherline-inspector]');
  expect(within(host!.shadowRoot!.querySelector('aside')!).getByText('WebSocket')).toBeTruthy();
});

it('opens by its key and closes by Escape, but takes no key from whoever types', async () => {
  const { panel } = await given();
  press(document.querySelector('input')!);
  expect(panel.queryByRole('tab')).toBeNull();
  press();
  expect(panel.getByRole('tab', { name: 'Overview' })).toBeTruthy();
  fireEvent.keyDown(panel.getByRole('tab', { name: 'Overview' }), { key: 'ArrowRight' });
  expect(panel.getByRole('tab', { name: 'Frames' }).getAttribute('aria-selected')).toBe('true');
  fireEvent.keyDown(panel.getByRole('tab', { name: 'Frames' }), { key: 'Escape' });
  expect(panel.queryByRole('tab')).toBeNull();
  fireEvent.click(panel.getByRole('button', { name: 'WebSocket' }));
  expect(panel.getByText('Connected', { selector: '.pill' })).toBeTruthy();
});

it('shows frames both ways, filters them, and one in detail, but never a token', async () => {
  const world = await given();
  const { server, client, panel, pass } = world;
  server.publish({ type: 'news', title: 'A title' });
  void client.send({ type: 'ask', about: 'something' });
  await pass(SECOND_MS);
  press();
  view(world, 'Frames');
  const rows = () => panel.getAllByRole('button', { name: /^[↑↓]/ }).map((row) => row.textContent);
  const types = () => rows().map((row) => row.match(/(?:in|out)([a-z_]+)/)?.[1]);
  expect(types()).toEqual(
    expect.arrayContaining(['connection_established', 'get_pending', 'news', 'ask', 'accepted']),
  );
  fireEvent.click(panel.getByRole('button', { name: 'Out' }));
  expect(types().every((type) => ['get_pending', 'ask', 'ack'].includes(type!))).toBe(true);
  fireEvent.click(panel.getByRole('button', { name: 'Both ways' }));
  fireEvent.change(panel.getByRole('searchbox'), { target: { value: 'a TITLE' } });
  expect(types()).toEqual(['news']);
  fireEvent.click(panel.getByRole('button', { name: /news/ }));
  expect(panel.getByText(/"title": "A title"/)).toBeTruthy();
  expect(document.body.innerHTML).not.toContain('fake-token');
});

it('counts the calls of handlers, their errors and what they still do', async () => {
  const world = await given({
    news: function showNews() {
      throw new Error('boom');
    },
    slow: function waitForever() {
      return new Promise(() => undefined);
    },
  });
  const { server, panel, pass } = world;
  server.publish({ type: 'news' });
  server.publish({ type: 'news' });
  server.publish({ type: 'slow' });
  await pass(SECOND_MS);
  press();
  view(world, 'Handlers');
  const [, news, slow] = panel.getAllByRole('row').map((row) => row.textContent);
  expect(news).toMatch(/^newsshowNews22Error: boom.*0$/);
  expect(slow).toMatch(/^slowwaitForever10.*1$/);
});

// They were all anonymous, and those of several components one.
it('knows the handlers of components by their names', async () => {
  const Bell = () => {
    useWebSocketHandlers({ news: function ring() {} });
    return null;
  };
  const List = () => {
    useWebSocketHandlers({ news: () => undefined });
    return null;
  };
  const page = (
    <>
      <Bell />
      <List />
    </>
  );
  const world = await given({}, page);
  world.server.publish({ type: 'news' });
  press();
  view(world, 'Handlers');
  const rows = world.panel.getAllByRole('row').map((row) => row.textContent);
  expect(rows.slice(1)).toEqual([
    expect.stringMatching(/^newsring1/),
    expect.stringMatching(/^newsnews1/),
  ]);
});

it('cuts the network and brings it back, expires the token, asks for what is pending', async () => {
  const { server, client, panel, pass } = await given();
  press();
  fireEvent.click(panel.getByRole('button', { name: 'Cut network' }));
  await pass(60 * SECOND_MS);
  expect(client.getSnapshot().isConnected).toBe(false);
  expect(panel.getByText('The network is cut, by this panel.')).toBeTruthy();
  fireEvent.click(panel.getByRole('button', { name: 'Restore network' }));
  await pass(60 * SECOND_MS);
  expect(client.getSnapshot().isConnected).toBe(true);
  fireEvent.click(panel.getByRole('button', { name: 'Expire token' }));
  await pass(5 * SECOND_MS);
  expect(server.open[0]?.token).toBe('fake-token-2-of-ann');
  const asked = () => server.open[0]!.frames.filter(({ type }) => type === 'get_pending').length;
  const before = asked();
  fireEvent.click(panel.getByRole('button', { name: 'Ask for pending' }));
  await pass(SECOND_MS);
  expect(asked()).toBe(before + 1);
});

it('measures pings and sends', async () => {
  const world = await given();
  const { server, client, panel, pass } = world;
  server.network.delayMs = 40;
  void client.send({ type: 'ask' });
  await pass(40 * SECOND_MS);
  press();
  view(world, 'Latency');
  expect(panel.getByRole('img').getAttribute('aria-label')).toBe(
    '2 measurements, the slowest under 50 ms',
  );
});

it('shows what has not settled, and where the page stands', async () => {
  const { server, client, panel, pass } = await given();
  server.publish({ type: 'news' });
  server.isAnswering = false;
  void client.send({ type: 'ask', id: 'unanswered' });
  await pass(SECOND_MS);
  press();
  expect(panel.getByText('unanswered')).toBeTruthy();
  expect(panel.getByText('Position').nextSibling?.textContent).toBe('1');
});

it('lists the streams, and takes their pieces for one frame', async () => {
  const world = await given();
  const { server, panel, pass } = world;
  const answer = server.openStream({ message_uuid: 'the-answer' });
  for (let piece = 0; piece < 2 * FRAMES_MAX; piece++) {
    answer.append('ab');
  }
  await pass(SECOND_MS);
  press();
  expect(panel.getByText('the-answer').nextSibling?.textContent).toBe(
    'attempt 1, 2.0 KiB, streaming',
  );
  answer.finish();
  await pass(SECOND_MS);
  expect(panel.getByText('the-answer').nextSibling?.textContent).toMatch(/complete$/);
  view(world, 'Frames');
  expect(panel.getByRole('button', { name: /message_delta/ }).textContent).toContain('× 1000');
  expect(panel.getByRole('button', { name: /connection_established/ })).toBeTruthy();
});

it('remembers so many frames, and so much of each', async () => {
  const world = await given();
  const { server, panel, pass } = world;
  for (let index = 0; index < FRAMES_MAX; index++) {
    server.publishLive({ type: 'tick' });
  }
  server.publishLive({ type: 'long', text: 'x'.repeat(FRAME_TEXT_MAX) });
  await pass(SECOND_MS);
  press();
  view(world, 'Frames');
  expect(panel.getByText(`${FRAMES_MAX} of ${FRAMES_MAX}`)).toBeTruthy();
  // By its text: the names of five hundred buttons take jsdom seconds.
  fireEvent.click(panel.getByText('long', { selector: 'button *' }));
  expect(panel.getByText(/the first 16.0 KiB are kept/)).toBeTruthy();
});

it('says why there can be no connection', async () => {
  // It said "Signed out", as if nobody were.
  const client = createClient({ url: 'http://:bad', getToken: () => 'token' });
  vi.spyOn(console, 'error').mockReturnValue();
  render(
    <WebSocketInitializer client={client} user="ann">
      <WebSocketInspector />
    </WebSocketInitializer>,
  );
  await act(() => vi.advanceTimersByTimeAsync(SECOND_MS));
  press();
  const host = document.querySelector('[data-tetherline-inspector]');
  const panel = within(host!.shadowRoot!.querySelector('aside')!);
  expect(panel.getByText(/"http:\/\/:bad" is no address/)).toBeTruthy();
  client.destroy();
});

// A send that was refused before it had a number was nowhere to be seen.
it('shows a send that is refused before the wire, with its type, id and reason', async () => {
  const world = await given();
  press();
  void world.client.send({ type: 'large', id: 'l', text: 'x'.repeat(70_000) });
  await world.pass(SECOND_MS);
  expect(world.panel.getByText(/Send large \(l\) was not taken: message_too_large\./)).toBeTruthy();
});
