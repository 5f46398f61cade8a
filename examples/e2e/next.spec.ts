import { expect, test } from './support/fixtures.ts';

test('the server renders the page for whoever asks, and connects to nothing', async ({
  arrive,
  example,
  name,
}) => {
  const ada = await arrive(name('ada'));
  const opened = example.network.webSocketsOpened;

  const html = await (await ada.page.request.get('/')).text();
  expect(html.replaceAll('<!-- -->', '')).toContain(`Notes of ${name('ada')}`);
  expect(html).toContain('Connecting');

  // One more by the page, so none by the server that rendered it twice meanwhile.
  await ada.page.reload();
  await expect(ada.connection).toHaveText('Live');
  expect(example.network.webSocketsOpened).toBe(opened + 1);
  expect(ada.complaints).toEqual([]);
});

test('no secret of the server is in what browsers load', async ({ arrive, name }) => {
  const ada = await arrive(name('ada'));
  const scripts = await ada.page.evaluate(() =>
    Promise.all(
      Array.from(document.scripts, ({ src }) => src)
        .filter((src) => src !== '')
        .map(async (src) => (await fetch(src)).text()),
    ),
  );
  expect(scripts.length).toBeGreaterThan(0);
  for (const script of scripts) {
    expect(script).not.toMatch(/jwt\.secret|api\.key|webhook\.secret/);
  }
});
