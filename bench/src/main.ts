import { chromium } from '@playwright/test';

import { burst, dispatch, dispatchInNode, renders, stream } from './benchmarks.js';
import { bundlePages } from './bundle.js';
import { BenchServer } from './server.js';

/** `node dist/main.mjs [--brief] [dispatch|renders|burst|stream …]`: prints the figures, as text. */
const args = process.argv.slice(2);
const isBrief = args.includes('--brief');
const wanted = args.filter((name) => name !== '--brief');
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

const folder = new URL('pages/', import.meta.url);
await bundlePages(new URL('../src/', import.meta.url), folder);
const server = await BenchServer.start(folder);
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--js-flags=--expose-gc --min-semi-space-size=64',
  ],
});
console.log(`Chromium ${browser.version()}, Node ${process.versions.node}\n`);
try {
  if (isWanted('dispatch')) {
    await dispatch(browser, server, isBrief);
    dispatchInNode(isBrief);
  }
  if (isWanted('renders')) {
    await renders(browser, server, isBrief);
  }
  if (isWanted('burst')) {
    await burst(browser, server, isBrief);
  }
  if (isWanted('stream')) {
    await stream(browser, server, isBrief);
  }
} finally {
  await browser.close();
  server.stop();
}
