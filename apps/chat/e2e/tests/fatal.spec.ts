import { expect, Tab, test } from '../support/tabs/one-server.ts';

// A secret that the backend had changed a minute before the server did ended every open page for good.
test('a page whose tokens are refused for a while comes back by itself, with what it was told to send', async ({
  page,
  delivery,
  user,
}) => {
  delivery.otherSecret = 'a secret that the server does not have yet';
  await page.goto(delivery.tab(user));
  const tab = new Tab(page);
  await expect.poll(() => tab.read(({ statuses }) => statuses.at(-1))).toBe('refused');
  await tab.send([`${user}-kept`]);
  const ids = await delivery.publish(user, 5);
  delivery.otherSecret = undefined;
  await tab.hasSettled([`${user}-kept`]);
  await tab.hasHandled(ids);
});

// A page that may not compile the engine showed "Connecting" for ever.
test('a page that is refused WebAssembly says so, and takes nothing to send', async ({
  page,
  delivery,
  user,
}) => {
  await page.addInitScript(() => {
    const refuse = (): never => {
      throw new WebAssembly.CompileError('as a policy refuses it');
    };
    Object.assign(WebAssembly, {
      Module: refuse,
      compile: () => Promise.resolve().then(refuse),
      instantiate: () => Promise.resolve().then(refuse),
    });
  });
  await page.goto(delivery.tab(user));
  const tab = new Tab(page);
  await expect.poll(() => tab.read(({ statuses }) => statuses.at(-1))).toBe('failed');
  await tab.send([`${user}-lost`]);
  await expect.poll(() => tab.read(({ settled }) => settled[0]?.outcome)).toMatch(/WebAssembly/);
  expect(delivery.taken.filter((id) => id.startsWith(`${user}-`))).toEqual([]);
});
