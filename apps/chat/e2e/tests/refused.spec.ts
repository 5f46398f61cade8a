import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from '@playwright/test';

import { allComesOnce, expect, framedTab, test } from '../support/tabs/one-server.ts';

// What a browser has and refuses: it throws (blocked cookies, sandboxed frames), or never answers.
const REFUSALS = {
  'a channel throws': () => {
    window.BroadcastChannel = function refuse() {
      throw new DOMException('Refused.', 'SecurityError');
    } as unknown as typeof BroadcastChannel;
  },
  'a channel carries nothing': () => {
    BroadcastChannel.prototype.postMessage = () => undefined;
  },
  'locks throw': () => {
    const refuse = () => {
      throw new DOMException('Refused.', 'SecurityError');
    };
    LockManager.prototype.request = LockManager.prototype.query = refuse;
  },
  'locks are refused': () => {
    const refuse = () => Promise.reject(new DOMException('Refused.', 'SecurityError'));
    LockManager.prototype.request = LockManager.prototype.query = refuse;
  },
  'locks never answer': () => {
    const wait = () => new Promise<never>(() => undefined);
    LockManager.prototype.request = LockManager.prototype.query = wait;
  },
  'a database throws': () => {
    IDBFactory.prototype.open = () => {
      throw new DOMException('Refused.', 'SecurityError');
    };
  },
  'a database never answers': () => {
    IDBFactory.prototype.open = () => new EventTarget() as IDBOpenDBRequest;
  },
  'storage throws': () => {
    for (const name of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(window, name, {
        get: () => {
          throw new DOMException('Refused.', 'SecurityError');
        },
      });
    }
  },
};

for (const [what, refuse] of Object.entries(REFUSALS)) {
  test(`where ${what}, two tabs have everything once`, async ({
    context,
    open,
    delivery,
    user,
  }) => {
    await context.addInitScript(refuse);
    const tabs = [await open(context, { outbox: '' }), await open(context, { outbox: '' })];
    await allComesOnce(tabs, delivery, user);
  });
}

test('where all of it throws, two tabs have everything once', async ({
  context,
  open,
  delivery,
  user,
}) => {
  for (const [what, refuse] of Object.entries(REFUSALS)) {
    if (what.endsWith('throws') || what.endsWith('throw')) await context.addInitScript(refuse);
  }
  const tabs = [await open(context, { outbox: '' }), await open(context, { outbox: '' })];
  await allComesOnce(tabs, delivery, user);
});

test('where nothing of it answers, two tabs have everything once', async ({
  context,
  open,
  delivery,
  user,
}) => {
  for (const what of ['a channel carries nothing', 'locks never answer'] as const) {
    await context.addInitScript(REFUSALS[what]);
  }
  await context.addInitScript(REFUSALS['a database never answers']);
  const tabs = [await open(context, { outbox: '' }), await open(context, { outbox: '' })];
  await allComesOnce(tabs, delivery, user);
});

test('a frame in a page of another site has everything once, beside a tab of its own site', async ({
  context,
  open,
  delivery,
  user,
}) => {
  const frame = await framedTab(
    await context.newPage(),
    delivery.frameOf(delivery.tab(user, { outbox: '' })),
  );
  await allComesOnce([frame, await open(context, { outbox: '' })], delivery, user);
});

test('with all cookies blocked in the browser, a page and a frame have everything once', async ({
  delivery,
  user,
  open,
  launchOptions,
}) => {
  const profile = await mkdtemp(join(tmpdir(), 'tetherline-e2e-'));
  await mkdir(join(profile, 'Default'));
  // What the setting "block all cookies" writes.
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(profile, launchOptions);
  try {
    const page = await open(context, { outbox: '' });
    const blocked = () => {
      try {
        return localStorage.length < 0;
      } catch {
        return true;
      }
    };
    expect(await page.frame.evaluate(blocked)).toBe(true);
    const frame = await framedTab(
      await context.newPage(),
      delivery.frameOf(delivery.tab(user, { outbox: '' })),
    );
    expect(await frame.frame.evaluate(blocked)).toBe(true);
    await allComesOnce([page, frame], delivery, user);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
});
