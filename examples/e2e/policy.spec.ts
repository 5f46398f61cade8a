import type { Page } from '@playwright/test';

import { expect, test } from './support/fixtures.ts';
import { Person } from './support/person.ts';

test('the policy that the backend sends is strict, and enough', async ({ name, open }) => {
  const page = await open();
  const policies: (string | undefined)[] = [];
  page.on('response', (response) => {
    if (response.url().endsWith('/')) policies.push(response.headers()['content-security-policy']);
  });
  const ada = await Person.arrive(page);
  await ada.signIn(name('ada'));

  await expect(ada.connection).toHaveText('Live');
  expect(policies).toEqual([expect.stringMatching(/script-src 'self' 'wasm-unsafe-eval';/)]);
  expect(ada.complaints).toEqual([]);
});

test('a page that forbids WebAssembly says so once, and is whole otherwise', async ({
  example,
  name,
  open,
}) => {
  const page = await open();
  await forbidWebAssembly(page);
  const ada = await Person.arrive(page);
  await ada.signIn(name('ada'));

  await expect(ada.connection).toHaveText('Connecting');
  await ada.write(name('grace'), 'Is this on?');
  await expect(page.getByRole('alert')).toHaveText(/^"Is this on\?" was not taken: /);
  expect(ada.complaints.filter((text) => text.startsWith('Tetherline'))).toEqual([
    expect.stringContaining("add 'wasm-unsafe-eval' to its script-src"),
  ]);
  expect(example.network.webSockets).toBe(0);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Your name')).toBeVisible();
});

async function forbidWebAssembly(page: Page): Promise<void> {
  await page.route('/', async (route) => {
    const response = await route.fetch();
    const policy = response.headers()['content-security-policy'] ?? '';
    const headers = {
      ...response.headers(),
      'content-security-policy': policy.replace(" 'wasm-unsafe-eval'", ''),
    };
    await route.fulfill({ response, headers });
  });
}
