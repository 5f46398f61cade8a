import type { Page } from '@playwright/test';

import { stillness, violations } from '../support/axe.ts';
import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

/** By how many pixels the page is wider than its window. */
function sideways(page: Page): Promise<number> {
  return page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
}

test('what is taken away while it fades in is waited for no longer', async ({ page }) => {
  // Once the wait for stillness rejected with `AbortError` when React replaced what was fading in.
  await page.setContent(
    '<style>@keyframes in { from { opacity: 0 } }</style><p style="animation: in 60s">soon</p>',
  );
  await page.evaluate(() => {
    setTimeout(() => document.querySelector('p')!.remove(), 200);
  });
  await stillness(page);
  await expect(page.locator('p')).toHaveCount(0);
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['a desk', { width: 1280, height: 800 }],
    ['a phone', { width: 390, height: 844 }],
  ] as const) {
    test(`nothing to complain for axe on ${device} in ${colorScheme}`, async ({
      arrive,
      network,
      provider,
    }) => {
      provider.replies.push(
        {
          text:
            '## A title\n\n`code` and\n\n```js\nlet a = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |' +
            `\n\n| ${'much more | '.repeat(9)}\n|${'---|'.repeat(9)}\n\n- [ ] a task\n- none\n\n$$x^2$$`,
        },
        { status: 500 },
      );
      const ada = await arrive({ viewport, colorScheme, reducedMotion: 'reduce' });
      expect(await violations(ada.page)).toEqual([]);
      await ada.signUp(newAccount('Ada'));
      expect(await violations(ada.page)).toEqual([]);
      await ada.ask('Show me everything');
      await expect(ada.log.locator('.katex')).toBeVisible();
      await ada.ask('And fail');
      await expect(ada.log.getByRole('button', { name: /try again|retry/i })).toBeVisible();
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page)).toBe(0);
      if (device === 'a phone')
        await ada.page.getByRole('button', { name: 'Conversations' }).click();
      await ada.page.getByRole('button', { name: /account/i }).click();
      await expect(ada.page.getByRole('menu')).toBeVisible();
      expect(await violations(ada.page)).toEqual([]);
      await ada.page.goto(new URL('/c/none', ada.page.url()).href);
      await expect(ada.page.getByText('Conversation not found')).toBeVisible();
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page)).toBe(0);
      await network.cut();
      await expect(ada.badge.getByRole('button', { name: 'Try now' })).toBeVisible();
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page)).toBe(0);
    });
  }
}

for (const [device, viewport, colorScheme] of [
  ['a desk in light', { width: 1280, height: 800 }, 'light'],
  ['a phone in dark', { width: 390, height: 844 }, 'dark'],
] as const) {
  test(`what streams, stops and has versions pleases axe on ${device}`, async ({
    arrive,
    provider,
  }) => {
    const ada = await arrive({ viewport, colorScheme, reducedMotion: 'reduce' });
    await ada.signUp(newAccount('Ada'));
    const looksGood = async (): Promise<void> => {
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page)).toBe(0);
    };
    const writing = provider.next();
    await ada.ask('Show me everything');
    const answer = await writing;
    await expect(ada.stopButton).toBeVisible();
    await looksGood();
    answer.write('## A title\n\n- one\n- two\n\n```js\nlet a = 1;\n\n');
    await expect(ada.answerText).toContainText('let a');
    await looksGood();
    await ada.composer.press('Escape');
    await expect(ada.answer.getByText('Stopped', { exact: true })).toBeVisible();
    await looksGood();
    await ada.answer.getByRole('button', { name: 'Try again' }).click();
    await expect(ada.said('You said: Show me everything')).toHaveCount(1);
    await ada.answer.getByRole('button', { name: 'Answer again' }).click();
    await expect(ada.answer.getByText('Version 2 of 2')).toHaveCount(1);
    await expect(ada.said('You said: Show me everything')).toHaveCount(1);
    await looksGood();
    await ada.log.getByRole('button', { name: 'Edit question' }).click();
    await looksGood();
  });
}

test('the whole way is possible with the keyboard alone', async ({ arrive }) => {
  const ada = await arrive();
  const { page } = ada;
  const tabTo = async (name: RegExp): Promise<void> => {
    for (let presses = 0; presses < 30; presses += 1) {
      await page.keyboard.press('Tab');
      const label = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement | null;
        const labelled = (element as HTMLInputElement | null)?.labels?.[0]?.textContent;
        return labelled ?? element?.getAttribute('aria-label') ?? element?.textContent ?? '';
      });
      if (name.test(label)) return;
    }
    throw new Error(`Tab never reaches ${String(name)}`);
  };
  const account = newAccount('Ada');
  await tabTo(/create an account/i);
  await page.keyboard.press('Enter');
  await expect(page.getByLabel('Name')).toBeVisible();
  await page.getByLabel('Name').focus();
  await page.keyboard.type(account.name);
  await tabTo(/e-mail/i);
  await page.keyboard.type(account.email);
  await tabTo(/password/i);
  await page.keyboard.type(account.password);
  await page.keyboard.press('Enter');
  await ada.isConnected();
  await expect(ada.composer).toBeFocused();
  await page.keyboard.type('By keyboard');
  await page.keyboard.press('Enter');
  await expect(ada.said('You said: By keyboard')).toHaveCount(1);
});
