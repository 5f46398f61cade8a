// Of the built package: `npm run build` first.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build as bundle } from 'esbuild';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { build as buildWithVite } from 'vite';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = `
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { WebSocketInitializer } from 'tetherline/react';
import { WebSocketInspector } from 'tetherline/inspector';
const options = { getToken: () => null, user: null };
const inspector = createElement(WebSocketInspector, {});
createRoot(document.body).render(createElement(WebSocketInitializer, options, inspector));
`;

/** What only the panel says, draws or is called. */
const TRACES = /Cut network|tetherlineInspector|frames__list|by this panel|Handlers, the newest/;

let folder = '';
let page = '';

beforeAll(async () => {
  // Inside the package, so that its own name and React are found.
  folder = await mkdtemp(join(ROOT, 'tests/.page-'));
  page = join(folder, 'page.js');
  await writeFile(page, PAGE);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function withEsbuild(conditions: string[], mode: string): Promise<string> {
  const result = await bundle({
    entryPoints: [page],
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    conditions,
    define: { 'process.env.NODE_ENV': JSON.stringify(mode) },
    logOverride: { 'ignored-directive': 'silent' },
  });
  return result.outputFiles[0]!.text;
}

it('a page that esbuild builds for production has nothing of the inspector', async () => {
  expect(TRACES.test(await withEsbuild([], 'production'))).toBe(false);
  expect(TRACES.test(await withEsbuild(['production'], 'production'))).toBe(false);
});

it('nor has one that Vite builds', async () => {
  // As on the command line; in here it is `test`, which Vite takes for development.
  vi.stubEnv('NODE_ENV', 'production');
  const outDir = join(folder, 'dist');
  await buildWithVite({
    root: folder,
    mode: 'production',
    logLevel: 'silent',
    configFile: false,
    build: { outDir, rollupOptions: { input: page } },
  });
  vi.unstubAllEnvs();
  const files = await readdir(outDir, { recursive: true, withFileTypes: true });
  const scripts = files.filter((file) => file.name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(0);
  for (const script of scripts) {
    const text = await readFile(join(script.parentPath, script.name), 'utf8');
    expect(TRACES.test(text)).toBe(false);
  }
});

it('one for development has it', async () => {
  expect(TRACES.test(await withEsbuild(['development'], 'development'))).toBe(true);
});
