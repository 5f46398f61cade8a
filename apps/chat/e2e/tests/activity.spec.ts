import { expect, test } from '../support/tabs/one-server.ts';

// What came while React kept a component hidden was acknowledged after the grace, and shown by nobody.
test('a hidden Activity whose type is held shows, once, what came meanwhile', async ({
  page,
  delivery,
  user,
}) => {
  await page.clock.install();
  await page.goto(delivery.tab(user).replace('/?', '/activity?'));
  const shown = page.getByTestId('shown');
  await expect(page.getByTestId('state')).toHaveText('online');
  await delivery.publish(user, 1);
  await expect(shown).toHaveText('1');
  await page.getByRole('button', { name: 'Hide' }).click();
  await delivery.publish(user, 2);
  await expect(page.getByTestId('arrived')).toHaveText('3');
  // Longer than a message waits for a handler that nobody has announced.
  await page.clock.fastForward(15_000);
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(shown).toHaveText('1 2 3');
  await delivery.publish(user, 1);
  await expect(shown).toHaveText('1 2 3 4');
});
