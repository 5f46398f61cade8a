import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

const PHONE = { width: 390, height: 844 };

const ANSWER = [
  '- [x] a task\n- not a task',
  '| What | How | Why |\n|---|---|---|\n| One thing that is to be done, and another one that comes after it ' +
    '| In many words, so that it takes more than one line of a narrow page ' +
    '| Because of this, and of all that was said about it in the weeks before |',
  '```\nA line of code that is a good deal longer than a telephone is wide, and does not break\n```',
  'The sum $\\sum_k k$ costs $5, not $10:\n\n$$\nx = \\frac{a}{b}\n$$',
].join('\n\n');

test('an answer is shown as it is meant, on a phone too', async ({ arrive, provider }) => {
  provider.replies.push({ text: ANSWER });
  const ada = await arrive({ viewport: PHONE });
  const { page } = ada;
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  const styles = await page.evaluate(async () => {
    await document.fonts.ready;
    return [...document.fonts].filter(({ status }) => status === 'loaded').map((one) => one.family);
  });
  // Headings fell back to whatever serif the system had.
  expect(styles.join()).toContain('Source Serif 4');

  await ada.signUp(newAccount('Ada'));
  const typesetter = (): Promise<string[]> =>
    page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .map(({ name }) => name)
        .filter((name) => name.includes('katex')),
    );
  expect(await typesetter()).toEqual([]);
  await ada.ask('Show me everything');

  // A plain item in a list that has tasks had lost its bullet.
  const plain = ada.answer.getByRole('listitem').filter({ hasText: /^not a task$/ });
  await expect(plain).toHaveCSS('list-style-type', 'disc');

  // Mathematics was shown raw. Now the typesetter comes with its first formula, policy or no policy.
  await expect(ada.answer.locator('.katex')).toHaveCount(2);
  await expect(ada.answer.locator('math')).toHaveCount(2);
  await expect(ada.answerText).toContainText('costs $5, not $10:');
  expect((await typesetter()).length).toBeGreaterThan(0);
  await page.evaluate(() => document.fonts.ready);
  expect(complaints).toEqual([]);

  // Tables were squeezed to a word a line, and neither they nor code said that they scroll.
  const cell = ada.answer.getByRole('cell', { name: /In many words/ });
  expect((await cell.boundingBox())?.width).toBeGreaterThan(200);
  for (const name of ['Table', 'Code in plain text']) {
    const area = ada.answer.getByRole('group', { name });
    await expect(area).toHaveAttribute('data-more', 'end');
    await area.focus();
    await page.keyboard.press('ArrowRight');
    await expect(area).toHaveAttribute('data-more', 'both');
    await area.evaluate((element) => element.scrollTo({ left: element.scrollWidth }));
    await expect(area).toHaveAttribute('data-more', 'start');
  }

  // The avatar's gutter took a tenth of the width.
  const answer = await ada.answerText.boundingBox();
  expect(answer?.width).toBeGreaterThan(PHONE.width * 0.9);
});

test('the way back to the end lies on no text', async ({ arrive, provider }) => {
  provider.replies.push({ text: Array.from({ length: 80 }, (_, at) => `${at}. line`).join('\n') });
  const ada = await arrive({ viewport: PHONE });
  await ada.signUp(newAccount('Ada'));
  await ada.ask('Show me everything');
  await expect(ada.answer.getByRole('button', { name: 'Answer again' })).toBeInViewport();
  await ada.log.evaluate((log) => log.scrollTo({ top: 0 }));

  const latest = ada.page.getByRole('button', { name: 'Latest' });
  const [pill, log] = [await latest.boundingBox(), await ada.log.boundingBox()];
  expect(pill?.y).toBeGreaterThanOrEqual((log?.y ?? 0) + (log?.height ?? 0));
  await latest.press('Enter');
  await expect(latest).toHaveCount(0);
  await expect(ada.answer.getByRole('button', { name: 'Answer again' })).toBeInViewport();
  // Whoever reads by keyboard reads on.
  await expect(ada.log).toBeFocused();
});
