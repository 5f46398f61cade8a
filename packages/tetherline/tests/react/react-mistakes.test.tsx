// @vitest-environment jsdom
import { cleanup, render, screen, waitFor } from '@testing-library/react';
import { Component, type ReactNode, StrictMode, useEffect } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  ConnectionStatus,
  useConnection,
  useStreamedMessage,
  useStreamedMessages,
  useTetherlineClient,
  useWebSocketContext,
  useWebSocketHandlers,
  useWebSocketProps,
  WebSocketInitializer,
  withWebSocket,
} from '../../src/react/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();
const console_ = { error: vi.fn() };
beforeEach(() => {
  console_.error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

// jsdom would print what React 18 throws and catches again.
window.addEventListener('error', (event) => event.preventDefault());

/** What was told of us: React's own remarks are left out. */
function complaints(): string[] {
  return console_.error.mock.calls
    .map(([what]) => (what instanceof Error ? what.message : String(what)))
    .filter((text) => text.startsWith('Tetherline'));
}

function Badge() {
  return <p>{useWebSocketContext().isConnected ? 'up' : 'down'}</p>;
}

async function shows(text: string) {
  expect(await screen.findByText(text, undefined, { timeout: 5_000 })).toBeTruthy();
}

describe('outside of the provider', () => {
  class Boundary extends Component<{ children: ReactNode }, { text: string }> {
    override state = { text: '' };
    static getDerivedStateFromError(error: Error) {
      return { text: error.message };
    }
    override render() {
      return this.state.text === '' ? this.props.children : <p>{this.state.text}</p>;
    }
  }
  const uses: Record<string, () => unknown> = {
    useWebSocketContext,
    useWebSocketProps,
    useWebSocketHandlers: () => useWebSocketHandlers({ news: () => undefined }),
    useConnection: () => useConnection((snapshot) => snapshot.status),
    useTetherlineClient,
    useStreamedMessage: () => useStreamedMessage('a'),
    useStreamedMessages,
  };
  it.each(Object.keys(uses))('%s says what is missing', (name) => {
    const use = uses[name]!;
    function Lost() {
      use();
      return null;
    }
    render(
      <Boundary>
        <Lost />
      </Boundary>,
    );
    expect(
      screen.getByText(
        new RegExp(`^${name} must be used within a WebSocketInitializer provider\\.`),
      ),
    ).toBeTruthy();
  });

  it('so do the component and the higher-order component, by their names', () => {
    const Panel = withWebSocket(function Panel(_props: { websocket: unknown } & object) {
      return null;
    } as never);
    render(
      <>
        <Boundary>
          <Panel />
        </Boundary>
        <Boundary>
          <ConnectionStatus />
        </Boundary>
      </>,
    );
    expect(screen.getByText(/^withWebSocket\(Panel\) must be used within/)).toBeTruthy();
    expect(screen.getByText(/^ConnectionStatus must be used within/)).toBeTruthy();
  });
});

it('a provider that is mounted twice is told once, and both work', async () => {
  const seen = vi.fn();
  function Feature() {
    useWebSocketHandlers({ news: seen });
    return null;
  }
  const provider = (children: ReactNode) => (
    <WebSocketInitializer {...context.options()} user="ann">
      {children}
    </WebSocketInitializer>
  );
  render(
    <StrictMode>
      {provider(
        <>
          <Feature />
          {provider(
            <>
              <Feature />
              <Badge />
            </>,
          )}
        </>,
      )}
    </StrictMode>,
  );
  await shows('up');
  await until(() => context.server.open.length === 2, 'the other one');
  context.server.publish('ann', { type: 'news' });
  await until(() => seen.mock.calls.length === 2, 'both');
  expect(complaints()).toEqual([
    expect.stringContaining('two WebSocketInitializers connect the same user'),
  ]);
});

it('two providers of one client keep its connection until the last has gone', async () => {
  const client = context.client();
  const tree = (isBoth: boolean) => (
    <>
      <WebSocketInitializer client={client} user="ann">
        <Badge />
      </WebSocketInitializer>
      {isBoth && <WebSocketInitializer client={client} user="ann" />}
    </>
  );
  const { rerender, unmount } = render(tree(true));
  await shows('up');
  rerender(tree(false));
  await client.send({ type: 'still_there' });
  unmount();
  await until(() => context.server.open.length === 0, 'the connection to close');
  expect(context.server.connections).toHaveLength(1);
  expect(complaints()).toEqual([]);
});

it('a handler that is none is told once; the others of the same map work', async () => {
  const good = vi.fn();
  const wrong = { news: good, broken_one: 'nope' } as never;
  function Features() {
    const { registerHandlers } = useWebSocketContext();
    useEffect(() => registerHandlers(wrong), [registerHandlers]);
    useWebSocketHandlers(wrong);
    return null;
  }
  render(
    <StrictMode>
      <WebSocketInitializer {...context.options()} user="ann">
        <Features />
        <Badge />
      </WebSocketInitializer>
    </StrictMode>,
  );
  await shows('up');
  context.server.publish('ann', { type: 'news' });
  await until(() => good.mock.calls.length === 2, 'both registrations');
  expect(complaints()).toEqual([
    'Tetherline: the handler for "broken_one" is not a function but nope.',
  ]);
});

it.each([
  ['an address that is none', { url: 'http://:bad' }, 'ann', '"http://:bad" is no address'],
  ['a user that is none', {}, 'a/b', '"a/b" is no user id'],
  [
    'a function of the address that throws',
    {
      url: (): string => {
        throw new Error('Tetherline-less failure');
      },
    },
    'ann',
    'Tetherline-less failure',
  ],
])('%s is told once, costs the connection and not the page', async (_what, options, user, told) => {
  function Sender() {
    const { send } = useWebSocketContext();
    useEffect(() => void send({ type: 'hello' }), [send]);
    return <p>still here</p>;
  }
  render(
    <StrictMode>
      <WebSocketInitializer {...context.options(options)} user={user}>
        <Sender />
        <Badge />
        <ConnectionStatus delayMs={0} />
      </WebSocketInitializer>
    </StrictMode>,
  );
  await shows('still here');
  await shows('down');
  // What looked like being signed out is a state of its own, with something to do about it.
  await waitFor(() =>
    expect(document.querySelector('[data-status=failed]')?.textContent).toMatch(
      /^This page cannot connect/,
    ),
  );
  expect(complaints()).toEqual([expect.stringContaining(told)]);
});

it('WebAssembly that is refused is told once, and costs the connection only', async () => {
  vi.resetModules();
  const fresh = await import('../../src/react/index.js');
  vi.stubGlobal('WebAssembly', {
    Module: vi.fn(() => {
      throw new Error("violates the Content Security Policy directive: 'unsafe-eval'");
    }),
  });
  function Page() {
    const { isConnected } = fresh.useWebSocketContext();
    return <p>{isConnected ? 'up' : 'down, but here'}</p>;
  }
  render(
    <StrictMode>
      <fresh.WebSocketInitializer {...context.options()} user="ann">
        <Page />
      </fresh.WebSocketInitializer>
    </StrictMode>,
  );
  await shows('down, but here');
  await until(() => context.logger.error.mock.calls.length > 0, 'the reason');
  expect(context.logger.error.mock.calls.map(([text]) => text as string)).toEqual([
    expect.stringContaining("add 'wasm-unsafe-eval' to its script-src"),
  ]);
});
