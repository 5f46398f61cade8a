import { existsSync } from 'node:fs';

import { defineConfig } from '@playwright/test';

import type { ExampleOptions } from './support/fixtures.ts';

const CHROMIUM = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path));

export default defineConfig<object, ExampleOptions>({
  testDir: '.',
  outputDir: '../../target/examples-results',
  workers: 2,
  // A test that passes at the second try has failed.
  retries: 0,
  forbidOnly: process.env['CI'] !== undefined,
  reporter: 'list',
  timeout: 60_000,
  expect: { timeout: 15_000 },
  projects: [
    {
      name: 'vite',
      testIgnore: 'next.spec.ts',
      use: { folder: 'vite', readme: 'vite', react: '19' },
    },
    {
      name: 'vite-react-18',
      testIgnore: 'next.spec.ts',
      use: { folder: 'vite-react-18', readme: 'vite', react: '18' },
    },
    {
      name: 'next',
      testIgnore: 'policy.spec.ts',
      use: { folder: 'next', readme: 'next', react: '19' },
    },
  ],
  use: {
    browserName: 'chromium',
    viewport: { width: 900, height: 700 },
    trace: 'retain-on-failure',
    launchOptions: {
      ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
