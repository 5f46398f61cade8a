import { join } from 'node:path';

import { test as base, expect, type Page } from '@playwright/test';
import { build } from 'esbuild';
import { tetherlineFixtures, type TetherlineFixtures } from 'tetherline/testing/playwright';

/** Nobody listens there: everything about it is routed. */
const ORIGIN = 'http://application.test';
const HTML =
  '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">' +
  '<style>:root { color-scheme: light dark }</style><title>News</title>' +
  '<body><script type="module" src="/page.js"></script></body></html>';

let script: Promise<string> | undefined;

async function bundled(): Promise<string> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, 'page.tsx')],
    bundle: true,
    format: 'esm',
    write: false,
    jsx: 'automatic',
    // As Vite and Next have it while one develops.
    conditions: ['development'],
    define: { 'process.env.NODE_ENV': '"development"' },
    logOverride: { 'ignored-directive': 'silent' },
  });
  return result.outputFiles[0]!.text;
}

/** Opens the page; its WebSocket goes wherever the test has it routed. */
export async function open(page: Page, server?: string): Promise<void> {
  script ??= bundled();
  const text = await script;
  await page.route(`${ORIGIN}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/page.js') {
      return route.fulfill({ contentType: 'text/javascript', body: text });
    }
    if (pathname === '/token') {
      return route.fulfill({ body: `token-${Date.now()}-${Math.random()}` });
    }
    return pathname === '/'
      ? route.fulfill({ contentType: 'text/html', body: HTML })
      : route.fallback();
  });
  await page.goto(`${ORIGIN}/${server === undefined ? '' : `?server=${server}`}`);
}

export const test = base.extend<TetherlineFixtures>(tetherlineFixtures);

export { expect };
