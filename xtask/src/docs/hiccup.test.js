// A snippet that asks a backend with `fetch`, and has no test of its own: what it hands out (the `getToken`
// of a provider or a client, an exported function) fails with the backend, and works after it.
import { cleanup, render } from '@testing-library/react';
import { createElement } from 'react';
import { afterEach, expect, it, vi } from 'vitest';

const given = vi.hoisted(() => []);
/** Whatever is asked of it does nothing. */
const client = vi.hoisted(() => new Proxy({}, { get: () => () => undefined }));

vi.mock('tetherline', async (original) => ({
  ...(await original()),
  createClient: ({ getToken }) => (given.push(getToken), client),
}));
vi.mock('tetherline/react', async (original) => ({
  ...(await original()),
  WebSocketInitializer: ({ getToken }) => (given.push(getToken), null),
}));

const { fetch } = globalThis;
afterEach(() => {
  cleanup();
  globalThis.fetch = fetch;
});

const HICCUPS = {
  'an empty 502': () => new globalThis.Response('', { status: 502 }),
  'a 503 with words': () =>
    globalThis.Response.json({ error: { code: 'unavailable' } }, { status: 503 }),
  'a reset': () => {
    throw new TypeError('fetch failed');
  },
};

it('fails with its backend, and works after it', async () => {
  const requests = [];
  for (const [name, handedOut] of Object.entries(await import('MODULE'))) {
    if (/^[A-Z]/.test(name)) {
      render(createElement(handedOut, { user: { uuid: 'ann' }, userId: 'ann' }));
    } else {
      requests.push(() => handedOut(client));
    }
  }
  const asked = { user: 'ann', fresh: false, signal: new globalThis.AbortController().signal };
  requests.push(...given.map((getToken) => () => getToken(asked)));
  expect(requests, 'what it hands out').not.toEqual([]);
  for (const request of requests) {
    for (const [hiccup, answer] of Object.entries(HICCUPS)) {
      globalThis.fetch = async () => answer();
      await expect(request(), hiccup).rejects.toThrow();
    }
    globalThis.fetch = async () => globalThis.Response.json({});
    await request();
  }
});
