import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--js-flags=--expose-gc --min-semi-space-size=64',
];

/**
 * Opens a page in a browser of its own that nobody observes, until `done` has come: with developer
 * tools attached, as Playwright's are, a browser copies every frame of a WebSocket to them.
 */
export async function openUnobserved<T>(url: string, done: Promise<T>): Promise<T> {
  const profile = await mkdtemp(join(tmpdir(), 'tetherline-bench-'));
  const browser = spawn(CHROMIUM, ['--headless=new', ...FLAGS, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
  });
  const ended = new Promise<never>((_, reject) => {
    browser.once('error', reject);
    browser.once('exit', (code) => reject(new Error(`Chromium has ended with ${code}.`)));
  });
  try {
    return await Promise.race([done, ended]);
  } finally {
    browser.kill();
    await ended.catch(() => undefined);
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
