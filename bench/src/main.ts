import { cpus, loadavg } from 'node:os';

import { chromium } from '@playwright/test';

import { burst, dispatch, dispatchInNode, renders } from './benchmarks.js';
import { bundlePages } from './bundle.js';
import { CHROMIUM, FLAGS } from './chromium.js';
import { BenchServer } from './server.js';

/** `node dist/main.mjs [--brief] [dispatch|renders|burst …]`: prints the figures, as text. */
const args = process.argv.slice(2);
const isBrief = args.includes('--brief');
const wanted = args.filter((name) => name !== '--brief');
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

const folder = new URL('pages/', import.meta.url);
await bundlePages(new URL('../src/', import.meta.url), folder);
const server = await BenchServer.start(folder);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const [load = 0] = loadavg();
console.log(
  `Chromium ${browser.version()}, Node ${process.versions.node}, ` +
    `${cpus().length} cores, load before ${load.toFixed(1)}\n`,
);
try {
  if (isWanted('dispatch')) {
    await dispatch(browser, server, isBrief);
    dispatchInNode(isBrief);
  }
  if (isWanted('renders')) {
    await renders(browser, server, isBrief);
  }
  if (isWanted('burst')) {
    await burst(server, isBrief);
  }
} finally {
  await browser.close();
  server.stop();
}
