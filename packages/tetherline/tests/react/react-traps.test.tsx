// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import {
  Component,
  type ComponentType,
  createRef,
  forwardRef,
  memo,
  type ReactNode,
  startTransition,
  StrictMode,
  Suspense,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  version,
} from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';

import {
  ConnectionStatus,
  useConnection,
  useWebSocketContext,
  useWebSocketHandlers,
  WebSocketInitializer,
  type WebSocketProps,
  withWebSocket,
} from '../../src/react/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

// jsdom would print what React 18 throws and catches again.
window.addEventListener('error', (event) => event.preventDefault());

async function shows(text: string) {
  expect(await screen.findByText(text, undefined, { timeout: 5_000 })).toBeTruthy();
}

function Badge() {
  return <p>{useWebSocketContext().isConnected ? 'up' : 'down'}</p>;
}

/** Keeps the processor busy, as a component does that renders much. */
function spend(ms: number) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Something to wait for while rendering. */
function suspender() {
  let resolve = () => {};
  let isDone = false;
  const promise = new Promise<void>((done) => (resolve = done));
  return {
    read() {
      if (!isDone) {
        // What `use` does, for React 18 too.
        // eslint-disable-next-line @typescript-eslint/only-throw-error
        throw promise;
      }
    },
    async finish() {
      isDone = true;
      await act(async () => resolve());
    },
  };
}

it('runs under the React that its project is for', ({ task }) => {
  expect(`react-${version.split('.')[0]}`).toBe(task.file.projectName);
});

describe('Suspense', () => {
  it('around the provider makes clients that open nothing until one is mounted', async () => {
    const data = suspender();
    function Page() {
      data.read();
      return <Badge />;
    }
    render(
      <StrictMode>
        <Suspense fallback={<p>loading</p>}>
          <WebSocketInitializer {...context.options()} user="ann">
            <Page />
          </WebSocketInitializer>
        </Suspense>
      </StrictMode>,
    );
    await shows('loading');
    expect(context.server.connections).toHaveLength(0);
    await data.finish();
    await shows('up');
    expect(context.server.connections).toHaveLength(1);
  });

  it('that shows its fallback again keeps the connection, and messages still arrive', async () => {
    // React undoes layout effects of what it hides: the provider hung up, and came back afterwards.
    const data = suspender();
    const news = vi.fn();
    function Page() {
      const [isWaiting, setIsWaiting] = useState(false);
      useWebSocketHandlers({ news });
      if (isWaiting) {
        data.read();
      }
      return (
        <>
          <Badge />
          <button onClick={() => setIsWaiting(true)}>wait</button>
        </>
      );
    }
    render(
      <Suspense fallback={<p>loading</p>}>
        <WebSocketInitializer {...context.options()} user="ann">
          <Page />
        </WebSocketInitializer>
      </Suspense>,
    );
    await shows('up');
    act(() => screen.getByText('wait').click());
    await shows('loading');
    context.server.publish('ann', { type: 'news' });
    await until(() => news.mock.calls.length > 0, 'the message');
    await data.finish();
    await shows('up');
    expect(context.server.connections).toHaveLength(1);
    expect(context.server.open).toHaveLength(1);
  });

  it('below the provider is nothing to it', async () => {
    const data = suspender();
    function Page() {
      data.read();
      return <p>page</p>;
    }
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Badge />
        <Suspense fallback={<p>loading</p>}>
          <Page />
        </Suspense>
      </WebSocketInitializer>,
    );
    await shows('up');
    await shows('loading');
    await data.finish();
    await shows('page');
    expect(context.server.connections).toHaveLength(1);
  });
});

describe('concurrent rendering', () => {
  it('never shows two states at once, however long a transition takes', async () => {
    const torn: string[][] = [];
    const commits = vi.fn();
    const Slow = memo(function Slow() {
      const status = useConnection((snapshot) => snapshot.status);
      const deferred = useDeferredValue(status);
      spend(3);
      return <i data-deferred={deferred}>{status}</i>;
    });
    function Page() {
      const [count, setCount] = useState(1);
      const root = useRef<HTMLDivElement>(null);
      useLayoutEffect(() => {
        commits();
        const shown = [...root.current!.querySelectorAll('i')].map((item) => item.textContent);
        if (new Set(shown).size > 1) {
          torn.push(shown);
        }
      });
      return (
        <div ref={root}>
          <button onClick={() => startTransition(() => setCount(60))}>grow</button>
          {Array.from({ length: count }, (_, index) => (
            <Slow key={index} />
          ))}
        </div>
      );
    }
    const client = context.client();
    render(
      <WebSocketInitializer client={client} user="ann">
        <Page />
      </WebSocketInitializer>,
    );
    await shows('connected');
    // Outside of `act`, which would not let React yield.
    const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
    environment.IS_REACT_ACT_ENVIRONMENT = false;
    try {
      screen.getByText('grow').click();
      // In the middle of it, the connection is lost.
      await new Promise((resolve) => setTimeout(resolve, 30));
      (await context.server.connection(1)).terminate();
      await context.server.connection(2);
      await until(() => document.querySelectorAll('i').length === 60, 'the transition');
      await until(
        () =>
          [...document.querySelectorAll('i')].every(
            (item) => item.dataset.deferred === 'connected',
          ),
        'the connection to be back',
      );
    } finally {
      environment.IS_REACT_ACT_ENVIRONMENT = true;
    }
    expect(commits).toHaveBeenCalled();
    expect(torn).toEqual([]);
  });
});

describe('an error boundary', () => {
  class Boundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
    override state = { isBroken: false };
    static getDerivedStateFromError() {
      return { isBroken: true };
    }
    override render() {
      return this.state.isBroken ? (
        <button onClick={() => this.setState({ isBroken: false })}>again</button>
      ) : (
        this.props.children
      );
    }
  }

  function bomb() {
    let isArmed = false;
    let rerender = () => {};
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    return {
      explode() {
        isArmed = true;
        act(() => rerender());
        isArmed = false;
      },
      Bomb() {
        const [, set] = useState(0);
        useEffect(() => {
          rerender = () => set((count) => count + 1);
        });
        if (isArmed) {
          throw new Error('boom');
        }
        return null;
      },
    };
  }

  it('below the provider leaves the connection as it is', async () => {
    const { Bomb, explode } = bomb();
    render(
      <WebSocketInitializer {...context.options()} user="ann">
        <Badge />
        <Boundary>
          <Bomb />
        </Boundary>
      </WebSocketInitializer>,
    );
    await shows('up');
    explode();
    await shows('again');
    await shows('up');
    expect(context.server.open).toHaveLength(1);
  });

  it('around the provider takes the connection with it, and one comes back', async () => {
    const { Bomb, explode } = bomb();
    render(
      <Boundary>
        <WebSocketInitializer {...context.options()} user="ann">
          <Badge />
          <Bomb />
        </WebSocketInitializer>
      </Boundary>,
    );
    await shows('up');
    explode();
    await until(() => context.server.open.length === 0, 'the connection to close');
    act(() => screen.getByText('again').click());
    await shows('up');
    expect(context.server.open).toHaveLength(1);
  });
});

it('a page that comes back from the back-forward cache has one connection again', async () => {
  const client = context.client();
  render(
    <WebSocketInitializer client={client} user="ann">
      <Badge />
    </WebSocketInitializer>,
  );
  await shows('up');
  const page = (type: string) =>
    window.dispatchEvent(new PageTransitionEvent(type, { persisted: true }));
  page('pagehide');
  // Browsers close what a page in the cache has open, and the page does not hear of it by then.
  (await context.server.connection(1)).terminate();
  await shows('down');
  page('pageshow');
  await shows('up');
  expect(context.server.open).toHaveLength(1);
  await client.send({ type: 'hello' });
});

describe('a page that a server has rendered', () => {
  it('hydrates without a mismatch, even if its client is connected by then', async () => {
    const recovered = vi.fn();
    const Page = () => (
      <>
        <Badge />
        <b>{useConnection((snapshot) => snapshot.status)}</b>
        <ConnectionStatus showConnected />
      </>
    );
    const tree = (client: ReturnType<typeof context.client>) => (
      <WebSocketInitializer client={client} user="ann">
        <Page />
      </WebSocketInitializer>
    );
    const host = document.createElement('div');
    // jsdom has a window, which no server has: React 18 warns of layout effects there.
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    host.innerHTML = renderToString(tree(context.client()));
    vi.restoreAllMocks();
    expect(host.querySelector('b')?.textContent).toBe('signed_out');
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    document.body.append(host);
    const client = await context.connected();
    let root: ReturnType<typeof hydrateRoot> | undefined;
    await act(async () => {
      root = hydrateRoot(host, tree(client), { onRecoverableError: recovered });
    });
    await until(() => host.querySelector('b')?.textContent === 'connected', 'the status');
    expect(host.querySelector('.tetherline-status')?.textContent).toBe('Connected');
    expect(recovered).not.toHaveBeenCalled();
    expect(error).not.toHaveBeenCalled();
    act(() => root?.unmount());
    host.remove();
  });
});

describe('withWebSocket', () => {
  interface Props {
    websocket: WebSocketProps;
    title: string;
  }

  function rendered(Wrapped: ComponentType<object>, props: object) {
    return render(
      <WebSocketInitializer {...context.options()} user={null}>
        <Wrapped {...props} />
      </WebSocketInitializer>,
    );
  }

  it('passes a ref on to a component that takes one by forwardRef', () => {
    const Panel = forwardRef<HTMLParagraphElement, Props>(function Panel(
      { websocket, title },
      ref,
    ) {
      return <p ref={ref}>{`${title} ${websocket.isConnected ? 'up' : 'down'}`}</p>;
    });
    const Wrapped = withWebSocket(Panel);
    expect(Wrapped).toHaveProperty('displayName', 'withWebSocket(Panel)');
    const ref = createRef<HTMLParagraphElement>();
    rendered(Wrapped as ComponentType<object>, { title: 'Chat', ref });
    expect(ref.current?.textContent).toBe('Chat down');
  });

  it.skipIf(version.startsWith('18.'))('passes a ref on to a function that has the prop', () => {
    function Panel({ title, ref }: Props & { ref?: React.Ref<HTMLParagraphElement> }) {
      return <p ref={ref}>{title}</p>;
    }
    const ref = createRef<HTMLParagraphElement>();
    rendered(withWebSocket(Panel) as ComponentType<object>, { title: 'Chat', ref });
    expect(ref.current?.textContent).toBe('Chat');
  });

  it('says the name of a component that is wrapped already', () => {
    const Panel = memo(function Panel({ title }: Props) {
      return <p>{title}</p>;
    });
    expect(withWebSocket(Panel)).toHaveProperty('displayName', 'withWebSocket(Panel)');
  });
});
