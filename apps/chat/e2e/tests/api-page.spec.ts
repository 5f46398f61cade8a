import { expect, test } from '@playwright/test';

import { violations } from '../support/axe.ts';
import { WatchedServer } from '../support/watched.ts';

test('the page of the API is whole, for everybody, at every width', async ({ page }) => {
  const server = await WatchedServer.start();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await page.goto(`${server.url}/v1/docs`);
  await page.getByRole('link', { name: 'Publishes a message to a user' }).click();
  await expect(page.locator('#publish')).toBeInViewport();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 800 });
  const wider = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(wider).toBe(0);
  expect(await violations(page)).toEqual([]);
  expect(new Set(asked)).toEqual(new Set([new URL(server.url).origin]));
  await server.dispose();
});
