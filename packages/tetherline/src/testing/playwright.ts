import type { Page, WebSocketRoute } from '@playwright/test';

import { TOKEN_HEADER } from '../generated/protocol.js';
import { tokenOf } from './fake-refusal.js';
import { createFakeServer, type FakeServer } from './fake-server.js';

/** Where a client connects unless an application says otherwise. */
const SOCKETS = /\/ws\/user\//;

/** What a browser makes of a connection that broke. Scripts may not close with that, so routes may not. */
const CLOSE_CUT = 4000;

const ALLOWED = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' };

/** A page's way to a real server, for a test to break. */
export interface PageNetwork {
  /** Breaks every connection, and lets none come about until {@link restore}. */
  cut: () => Promise<void>;
  restore: () => void;
  /** Lets nothing through any more on the connections there are, and tells nobody. */
  halfOpen: () => void;
  /** How many connections are open now. */
  open: () => number;
}

/** For `test.extend<TetherlineFixtures>(tetherlineFixtures)`. */
export interface TetherlineFixtures {
  /** Answers the page in place of a server, which then need not be there. */
  fakeServer: FakeServer;
  /** Stands between the page and its real server. */
  webSocketNetwork: PageNetwork;
}

type Provide<T> = (fixture: T) => Promise<void>;

export const tetherlineFixtures = {
  fakeServer: async ({ page }: { page: Page }, provide: Provide<FakeServer>): Promise<void> => {
    const server = createFakeServer();
    await routeToFakeServer(page, server);
    await provide(server);
  },
  webSocketNetwork: async (
    { page }: { page: Page },
    provide: Provide<PageNetwork>,
  ): Promise<void> => {
    await provide(await routeThroughNetwork(page));
  },
};

/** Before the page is opened: its WebSockets, and its questions about them, go to the fake server. */
export async function routeToFakeServer(
  page: Page,
  server: FakeServer,
  sockets: RegExp = SOCKETS,
): Promise<void> {
  await page.routeWebSocket(sockets, (route) => {
    const connection = server.connect(route.url(), route.protocols(), {
      // The page's WebSocket opens by itself.
      opened: () => undefined,
      message: (text) => route.send(text),
      closed: (code, reason) =>
        void route.close({ code: code === 1006 ? CLOSE_CUT : code, reason }),
    });
    route.onMessage((message) => connection.receive(String(message)));
    route.onClose((code) => connection.hungUp(code ?? 1000));
  });
  await page.route(sockets, async (route) => {
    const headers = route.request().headers();
    const token = tokenOf(headers[TOKEN_HEADER], headers.authorization);
    const answer = route.request().method() === 'OPTIONS' ? { status: 204 } : server.probe(token);
    if (answer) {
      await route.fulfill({ ...answer, headers: { ...ALLOWED, ...headersOf(answer) } });
    } else {
      await route.abort('internetdisconnected');
    }
  });
}

/** Before the page is opened: its WebSockets go to the real server, by a way that can be cut. */
export async function routeThroughNetwork(
  page: Page,
  sockets: RegExp = SOCKETS,
): Promise<PageNetwork> {
  const open = new Set<WebSocketRoute>();
  const silent = new Set<WebSocketRoute>();
  let isCut = false;
  await page.routeWebSocket(sockets, async (route) => {
    if (isCut) {
      await route.close({ code: CLOSE_CUT });
      return;
    }
    open.add(route);
    const server = route.connectToServer();
    const ended = (other: WebSocketRoute) => (code: number | undefined) => {
      open.delete(route);
      if (!silent.has(route)) {
        void other.close(isAllowed(code) ? { code } : {});
      }
    };
    const pass = (to: WebSocketRoute) => (message: Parameters<WebSocketRoute['send']>[0]) => {
      if (!silent.has(route)) {
        to.send(message);
      }
    };
    route.onMessage(pass(server));
    server.onMessage(pass(route));
    route.onClose(ended(server));
    server.onClose(ended(route));
  });
  await page.route(sockets, (route) =>
    isCut ? route.abort('internetdisconnected') : route.continue(),
  );
  return {
    cut: async () => {
      isCut = true;
      await Promise.all([...open].map((route) => route.close({ code: CLOSE_CUT })));
      open.clear();
    },
    restore: () => {
      isCut = false;
    },
    halfOpen: () => open.forEach((route) => silent.add(route)),
    open: () => open.size,
  };
}

function isAllowed(code: number | undefined): code is number {
  return code === 1000 || (code !== undefined && code >= 3000);
}

function headersOf(answer: object): Record<string, string> {
  return 'headers' in answer ? (answer.headers as Record<string, string>) : {};
}
