// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { Profiler } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Client, Snapshot } from '../../src/index.js';
import { TetherlineError } from '../../src/index.js';
import {
  ConnectionStatus,
  type ConnectionStatusProps,
  toToasts,
  useConnection,
  WebSocketInitializer,
} from '../../src/react/index.js';

/** A client that says of itself what a test tells it to. */
function scripted() {
  let snapshot: Snapshot = {
    status: 'connected',
    isConnected: true,
    isCaughtUp: true,
    reconnectAttempts: 0,
    retryAt: null,
    waitReason: null,
    outboxLength: 0,
    error: null,
  };
  const listeners = new Set<() => void>();
  const nothing = () => () => undefined;
  const reconnect = vi.fn();
  const client: Client = {
    signIn: nothing,
    signOut: nothing,
    leave: nothing,
    on: nothing,
    off: nothing,
    hold: nothing,
    send: () => Promise.resolve({ id: '1' }),
    stop: () => Promise.resolve({ id: '1' }),
    getStream: () => undefined,
    getStreams: () => [],
    subscribeStreams: nothing,
    showStreams: nothing,
    requestPending: nothing,
    historyAsOf: nothing,
    destroy: nothing,
    reconnect,
    getSnapshot: () => snapshot,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    client,
    reconnect,
    /** Without waiting for a frame. */
    becomes(change: Partial<Snapshot>) {
      snapshot = { ...snapshot, isConnected: change.status === 'connected', ...change };
      for (const listener of listeners) {
        listener();
      }
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: [
      'setTimeout',
      'clearTimeout',
      'Date',
      'requestAnimationFrame',
      'cancelAnimationFrame',
      'performance',
    ],
  });
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const pass = (ms: number): void => {
  act(() => {
    vi.advanceTimersByTime(ms);
  });
};

describe('ConnectionStatus', () => {
  function given(props: ConnectionStatusProps = {}) {
    const { client, becomes, reconnect } = scripted();
    const { container } = render(
      <WebSocketInitializer client={client} user="ann">
        <ConnectionStatus {...props} />
      </WebSocketInitializer>,
    );
    return {
      reconnect,
      becomes: (change: Partial<Snapshot>) => {
        act(() => becomes(change));
        pass(20);
      },
      shown: () => container.querySelector('.tetherline-status')?.textContent ?? '',
      spoken: () => screen.getByRole('status').textContent,
    };
  }

  it('shows nothing while connected, and nothing of what is over at once', () => {
    const { becomes, shown, spoken } = given();
    expect([shown(), spoken()]).toEqual(['', '']);
    becomes({ status: 'connecting', reconnectAttempts: 1 });
    pass(900);
    becomes({ status: 'connected', reconnectAttempts: 0 });
    pass(5_000);
    expect([shown(), spoken()]).toEqual(['', '']);
  });

  it('counts on as before when somebody sets the clock', () => {
    // An hour back, and "Reconnecting in 5 s" became an hour.
    const { becomes, shown } = given();
    becomes({ status: 'waiting', reconnectAttempts: 2, retryAt: Date.now() + 5_000 });
    pass(1_000);
    vi.setSystemTime(Date.now() - 3_600_000);
    pass(1_000);
    expect(shown()).toContain('Reconnecting in 3 s');
  });

  it('counts down to the next attempt, which one may make at once', () => {
    const { becomes, shown, reconnect } = given();
    becomes({ status: 'waiting', reconnectAttempts: 2, retryAt: Date.now() + 5_000 });
    expect(shown()).toBe('');
    pass(1_000);
    expect(shown()).toBe('Reconnecting in 4 sTry now');
    pass(1_000);
    expect(shown()).toBe('Reconnecting in 3 sTry now');
    screen.getByRole('button', { name: 'Try now' }).click();
    expect(reconnect).toHaveBeenCalledOnce();
    becomes({ status: 'connecting', retryAt: null });
    expect(shown()).toBe('Reconnecting…Try now');
    becomes({ status: 'connected', reconnectAttempts: 0 });
    expect(shown()).toBe('');
  });

  it('is read out when the connection is lost and when it is back, and not every second', async () => {
    const { becomes, spoken } = given();
    const heard: string[] = [];
    const observer = new MutationObserver(() => heard.push(spoken()));
    observer.observe(screen.getByRole('status'), {
      childList: true,
      characterData: true,
      subtree: true,
    });
    becomes({ status: 'waiting', reconnectAttempts: 1, retryAt: Date.now() + 30_000 });
    for (let second = 0; second < 30; second++) {
      pass(1_000);
      await Promise.resolve();
    }
    becomes({ status: 'connecting', reconnectAttempts: 1, retryAt: null });
    becomes({ status: 'waiting', reconnectAttempts: 2, retryAt: Date.now() + 30_000 });
    pass(3_000);
    await Promise.resolve();
    becomes({ status: 'connected', reconnectAttempts: 0, retryAt: null });
    await Promise.resolve();
    observer.disconnect();
    expect(heard).toEqual(['Connection lost, reconnecting', 'Connected']);
  });

  it('renders nothing twice in a second while it counts', () => {
    const { client, becomes } = scripted();
    let renders = 0;
    render(
      <WebSocketInitializer client={client} user="ann">
        <Profiler id="status" onRender={() => (renders += 1)}>
          <ConnectionStatus />
        </Profiler>
      </WebSocketInitializer>,
    );
    act(() => becomes({ status: 'waiting', reconnectAttempts: 1, retryAt: Date.now() + 20_000 }));
    pass(2_000);
    renders = 0;
    for (let quarter = 0; quarter < 40; quarter++) {
      pass(250);
    }
    expect(renders).toBe(10);
  });

  it('says that the browser has no network, and that signing in is needed', () => {
    const { becomes, shown } = given();
    const onLine = vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(false);
    becomes({ status: 'waiting', reconnectAttempts: 1, retryAt: Date.now() + 30_000 });
    pass(1_000);
    expect(shown()).toBe('You are offlineTry now');
    onLine.mockReturnValue(true);
    act(() => void window.dispatchEvent(new Event('online')));
    expect(shown()).toBe('Reconnecting in 29 sTry now');
    becomes({ status: 'refused', reconnectAttempts: 0, retryAt: null });
    expect(shown()).toBe('Not connected. Sign in again');
  });

  it('speaks other languages, shows that all is well if asked to, and passes props on', () => {
    const { becomes, shown } = given({
      showConnected: true,
      'data-testid': 'status',
      texts: {
        connected: 'Verbunden',
        reconnectingIn: (seconds, attempt) => `Versuch ${attempt} in ${seconds} Sekunden`,
        tryNow: 'Jetzt versuchen',
      },
    } as ConnectionStatusProps);
    expect(shown()).toBe('Verbunden');
    expect(screen.getByTestId('status').dataset.status).toBe('connected');
    becomes({ status: 'waiting', reconnectAttempts: 3, retryAt: Date.now() + 8_000 });
    pass(1_000);
    expect(shown()).toBe('Versuch 3 in 7 SekundenJetzt versuchen');
  });
});

describe('changes of the connection', () => {
  function given() {
    const { client, becomes } = scripted();
    const renders: number[] = [];
    function Outbox() {
      const outboxLength = useConnection((snapshot) => snapshot.outboxLength);
      renders.push(outboxLength);
      return null;
    }
    render(
      <WebSocketInitializer client={client} user="ann">
        <Outbox />
      </WebSocketInitializer>,
    );
    renders.length = 0;
    return { renders, becomes };
  }

  it('render once per frame, however many there are', () => {
    const { renders, becomes } = given();
    act(() => {
      for (let outboxLength = 1; outboxLength <= 1_000; outboxLength++) {
        becomes({ outboxLength });
      }
    });
    expect(renders).toEqual([]);
    pass(20);
    expect(renders).toEqual([1_000]);
  });

  it('do not wait for a frame on a hidden page, which has none', () => {
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    const frame = vi.spyOn(globalThis, 'requestAnimationFrame');
    const { renders, becomes } = given();
    act(() => becomes({ outboxLength: 1 }));
    expect(renders).toEqual([1]);
    expect(frame).not.toHaveBeenCalled();
  });

  it('wait for at most 100 ms where frames stop before the page is said to be hidden', () => {
    const { renders, becomes } = given();
    vi.spyOn(globalThis, 'requestAnimationFrame').mockReturnValue(0);
    act(() => becomes({ outboxLength: 1 }));
    pass(99);
    expect(renders).toEqual([]);
    pass(1);
    expect(renders).toEqual([1]);
  });
});

it('a selector that makes objects renders when something has changed, and not for ever', () => {
  const { client, becomes } = scripted();
  const seen: string[] = [];
  function Both() {
    const { status, waiting } = useConnection((snapshot) => ({
      status: snapshot.status,
      waiting: snapshot.outboxLength,
    }));
    seen.push(`${status} ${waiting}`);
    return null;
  }
  render(
    <WebSocketInitializer client={client} user="ann">
      <Both />
    </WebSocketInitializer>,
  );
  act(() => becomes({ status: 'connected', outboxLength: 2 }));
  pass(20);
  expect(seen).toEqual(['connected 0', 'connected 2']);
});

it('toasts come by any function, once for the same thing, in any language', () => {
  const show = vi.fn();
  const toasts = toToasts(show, { gap: 'Weg.' });
  const full = new TetherlineError('rejected', 'This conversation is closed.');
  toasts.onServerError(full);
  toasts.onServerError(full);
  toasts.onGap({ after: 1, next: 5 });
  toasts.onIdentityRefused('ann', { isFinal: false });
  toasts.onIdentityRefused('ann', { isFinal: true });
  toasts.onSignedOutElsewhere('ann');
  expect(show.mock.calls.map(([toast]) => toast as unknown)).toEqual([
    { kind: 'error', id: 'tetherline-rejected', text: 'This conversation is closed.' },
    { kind: 'error', id: 'tetherline-rejected', text: 'This conversation is closed.' },
    { kind: 'info', id: 'tetherline-gap', text: 'Weg.' },
    {
      kind: 'error',
      id: 'tetherline-identity',
      text: 'You have been signed out. Sign in again to go on.',
    },
    { kind: 'info', id: 'tetherline-identity', text: 'You signed out in another tab.' },
  ]);
});
