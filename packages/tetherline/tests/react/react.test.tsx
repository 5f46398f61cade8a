// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { Component, createRef, memo, Profiler, StrictMode, useEffect } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { OutboxPage } from '../../src/index.js';
import {
  useConnection,
  useWebSocketContext,
  useWebSocketProps,
  WebSocketInitializer,
  type WebSocketContextValue,
  type WebSocketProps,
  withWebSocket,
} from '../../src/react/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();
afterEach(cleanup);

function Badge() {
  const { isConnected, reconnectAttempts } = useWebSocketContext();
  return (
    <p>
      {isConnected ? 'Connected' : 'Offline'} {reconnectAttempts}
    </p>
  );
}

async function shows(text: string) {
  expect(await screen.findByText(text, undefined, { timeout: 5_000 })).toBeTruthy();
}

describe('WebSocketInitializer', () => {
  it('connects while there is a user, and follows who it is', async () => {
    const tree = (user: string | null) => (
      <WebSocketInitializer {...context.options()} user={user}>
        <Badge />
      </WebSocketInitializer>
    );
    const { rerender, unmount } = render(tree(null));
    expect(context.server.connections).toHaveLength(0);
    rerender(tree('ann'));
    await shows('Connected 0');
    rerender(tree('bob'));
    const second = await context.server.connection(2);
    expect(second.user).toBe('bob');
    await until(() => context.server.open.length === 1, 'the first connection to close');
    await shows('Connected 0');
    rerender(tree(null));
    await shows('Offline 0');
    rerender(tree('ann'));
    await shows('Connected 0');
    unmount();
    await until(() => context.server.open.length === 0, 'the last connection to close');
    expect(context.server.connections).toHaveLength(3);
  });

  // An auth library that loads again has no user for one render. That signed out every tab, and
  // deleted what was not sent yet.
  it('only leaves while it is not known who is signed in', async () => {
    const cleared = vi.fn();
    const outbox = {
      open: ({ restored }: OutboxPage) => {
        restored();
        return { put: () => undefined, clear: cleared };
      },
    };
    const tree = (user: string | null | undefined) => (
      <WebSocketInitializer {...context.options({ outbox })} user={user}>
        <Badge />
      </WebSocketInitializer>
    );
    const { rerender } = render(tree('ann'));
    await shows('Connected 0');
    rerender(tree(undefined));
    await shows('Offline 0');
    expect(cleared).not.toHaveBeenCalled();
    rerender(tree('ann'));
    await shows('Connected 0');
    rerender(tree(null));
    await shows('Offline 0');
    expect(cleared).toHaveBeenCalledExactlyOnceWith('user');
  });

  it('leaves the connection of whoever was there when the next user is none', async () => {
    // The sentence was said, and the former user's connection stayed open.
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const tree = (user: string) => (
      <WebSocketInitializer {...context.options()} user={user}>
        <Badge />
      </WebSocketInitializer>
    );
    const { rerender } = render(tree('ann'));
    await shows('Connected 0');
    rerender(tree(''));
    await shows('Offline 0');
    expect(console.error).toHaveBeenCalledOnce();
  });

  it('opens one connection under StrictMode', async () => {
    const getToken = vi.fn(() => 'token');
    render(
      <StrictMode>
        <WebSocketInitializer {...context.options({ getToken })} user="ann">
          <Badge />
        </WebSocketInitializer>
      </StrictMode>,
    );
    await shows('Connected 0');
    expect(getToken).toHaveBeenCalledOnce();
    expect(context.server.connections).toHaveLength(1);
  });

  it('calls the callbacks of the latest render', async () => {
    const [early, late] = [vi.fn(), vi.fn()];
    const tree = (onServerError: () => void) => (
      <WebSocketInitializer {...context.options()} onServerError={onServerError} user="ann">
        <Badge />
      </WebSocketInitializer>
    );
    const { rerender } = render(tree(early));
    await shows('Connected 0');
    rerender(tree(late));
    (await context.server.connection(1)).send({ type: 'error', code: 'internal', message: 'Oh.' });
    await until(() => late.mock.calls.length > 0, 'the callback');
    expect(early).not.toHaveBeenCalled();
  });

  it('uses a client that was made elsewhere', async () => {
    const client = context.client();
    const { rerender, unmount } = render(
      <WebSocketInitializer client={client} user="ann">
        <Badge />
      </WebSocketInitializer>,
    );
    await shows('Connected 0');
    expect(client.getSnapshot().status).toBe('connected');
    const other = context.client();
    rerender(
      <WebSocketInitializer client={other} user="ann">
        <Badge />
      </WebSocketInitializer>,
    );
    await until(() => client.getSnapshot().status === 'signed_out', 'the first client’s sign-out');
    await shows('Connected 0');
    unmount();
    await until(() => other.getSnapshot().status === 'signed_out', 'the second one’s');
  });

  it('lets a component send and register as soon as it is mounted', async () => {
    const seen = vi.fn();
    context.server.publish('ann', { type: 'news' });
    function Eager() {
      const { send, registerHandlers } = useWebSocketContext();
      useEffect(() => {
        void send({ type: 'hello' });
        return registerHandlers({ news: seen });
      }, [send, registerHandlers]);
      return null;
    }
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Eager />
      </WebSocketInitializer>,
    );
    await (await context.server.connection(1)).frame('hello');
    await until(() => seen.mock.calls.length > 0, 'the message');
  });
});

describe('the context value', () => {
  it('is exactly seven keys, and a new object only when one of the two values changes', async () => {
    const values = new Set<WebSocketContextValue>();
    function Collect() {
      values.add(useWebSocketContext());
      return null;
    }
    const tree = () => (
      <WebSocketInitializer {...context.options()} user="ann">
        <Collect />
        <Badge />
      </WebSocketInitializer>
    );
    const { rerender } = render(tree());
    await shows('Connected 0');
    rerender(tree());
    const [, connected] = [...values];
    await act(() => connected!.send({ type: 'hello' }));
    expect([...values].map((value) => value.isConnected)).toEqual([false, true]);
    expect(Object.keys(connected!).sort()).toEqual([
      'isConnected',
      'reconnectAttempts',
      'registerHandlers',
      'requestPending',
      'send',
      'stop',
      'unregisterHandlers',
    ]);
  });

  it('outside of the provider is an error that says what to do', () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(() => render(<Badge />)).toThrow(
      'useWebSocketContext must be used within a WebSocketInitializer provider.\n' +
        'Make sure WebSocketInitializer is present in your component tree,\n' +
        'after AuthInitializer and AuthProvider.',
    );
    vi.restoreAllMocks();
  });
});

describe('rendering', () => {
  it('does not happen: 50 components, 1,000 messages that concern none of them', async () => {
    let renders = 0;
    const Listener = memo(function Listener() {
      const { registerHandlers } = useWebSocketContext();
      useConnection((snapshot) => snapshot.status);
      useEffect(() => registerHandlers({ other: () => undefined }), [registerHandlers]);
      return null;
    });
    const seen = vi.fn();
    const client = context.client();
    render(
      <WebSocketInitializer client={client} user="ann">
        <Profiler id="all" onRender={() => (renders += 1)}>
          {Array.from({ length: 50 }, (_, index) => (
            <Listener key={index} />
          ))}
        </Profiler>
        <Badge />
      </WebSocketInitializer>,
    );
    await shows('Connected 0');
    client.on({ news: seen });
    renders = 0;
    for (let number = 0; number < 1_000; number++) {
      context.server.publish('ann', { type: 'news', number });
    }
    await until(() => seen.mock.calls.length === 1_000, 'all messages');
    expect(renders).toBe(0);
  });
});

describe('withWebSocket', () => {
  interface Props {
    websocket: WebSocketProps;
    title: string;
  }

  it('passes the connection to a function component and drops the prop from the outside', async () => {
    function Panel({ websocket, title }: Props) {
      return <p>{`${title} ${websocket.isConnected ? 'up' : 'down'}`}</p>;
    }
    Panel.preload = () => 'preloaded';
    const Wrapped = withWebSocket(Panel);
    expect((Wrapped as { displayName?: string }).displayName).toBe('withWebSocket(Panel)');
    expect((Wrapped as unknown as { preload: () => string }).preload()).toBe('preloaded');
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Wrapped title="Chat" />
      </WebSocketInitializer>,
    );
    await shows('Chat up');
  });

  it('passes it to a class, which refs reach', async () => {
    class Panel extends Component<Props> {
      static readonly area = 'chat';
      focus() {
        return `focused ${this.props.title}`;
      }
      override render() {
        return <p>{this.props.websocket.isConnected ? 'up' : 'down'}</p>;
      }
    }
    const Wrapped = withWebSocket(Panel);
    const ref = createRef<Panel>();
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Wrapped title="Chat" ref={ref} />
      </WebSocketInitializer>,
    );
    await shows('up');
    expect(ref.current?.focus()).toBe('focused Chat');
    expect((Wrapped as unknown as typeof Panel).area).toBe('chat');
  });

  it('has a hook of the same meaning', async () => {
    const Panel = () => <p>{useWebSocketProps().isConnected ? 'up' : 'down'}</p>;
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Panel />
      </WebSocketInitializer>,
    );
    await shows('up');
  });
});
