import { kill } from 'node:process';

import { expect, test as base, type BrowserContext, type Frame, type Page } from '@playwright/test';

import { Network } from '../network.ts';
import { Delivery } from './delivery.ts';
import type { TabPage } from './page.ts';

/** How long a page computes so that its process stands out, in ms. */
const BUSY_MS = 400;

interface World {
  delivery: Delivery;
  /** The way from the tabs to the delivery server. */
  network: Network;
  /** Opens a tab in which this user is signed in. */
  open: (user?: string) => Promise<Tab>;
  /** Opens so many, one after the other: the first one leads. */
  openTabs: (count: number) => Promise<Tab[]>;
}

/** One tab, known by the raw record of what its client called. */
export class Tab {
  /** `frame`: where in the page it is, if not the page itself. */
  constructor(
    readonly page: Page,
    readonly frame: Frame = page.mainFrame(),
  ) {}

  read<Value>(look: (tab: TabPage) => Value): Promise<Value> {
    // A function cannot travel; its text can, and finds `tab` there.
    return this.frame.evaluate(`(${look.toString()})(window.tab)`);
  }

  async isConnected(): Promise<void> {
    await expect.poll(() => this.read((tab) => tab.statuses.at(-1))).toBe('connected');
  }

  /** Sends without waiting for anything. */
  async send(ids: string[]): Promise<void> {
    await this.frame.evaluate((each) => {
      each.forEach(window.tab.send);
    }, ids);
  }

  /** Waits until so many handler calls were made, and holds them against what was published. */
  async hasHandled(ids: string[]): Promise<void> {
    await expect
      .poll(() => this.read((tab) => tab.calls.length), { timeout: 30_000 })
      .toBeGreaterThanOrEqual(ids.length);
    const calls = await this.read((tab) => tab.calls);
    expect(calls.map(({ seq }) => seq)).toEqual(ids.map((_, index) => index + 1));
    expect(calls.map(({ id }) => id)).toEqual(ids);
    expect(await this.read((tab) => [...tab.gaps, ...tab.errors])).toEqual([]);
  }

  /** Waits until all of these sends are accepted, each once. */
  async hasSettled(ids: string[]): Promise<void> {
    await expect
      .poll(() => this.read((tab) => tab.settled.length), { timeout: 30_000 })
      .toBe(ids.length);
    const settled = await this.read((tab) => tab.settled);
    expect(settled).toEqual(ids.map((id) => ({ id, outcome: 'accepted' })));
  }

  /** Ends the tab's process as a crash does. */
  async crash(): Promise<void> {
    const devtools = await this.page.context().newCDPSession(this.page);
    const crashed = this.page.waitForEvent('crash');
    devtools.send('Page.crash').catch(() => undefined);
    await crashed;
  }

  /**
   * Stops the tab's process, until the function that this returns is called. (A headless Chromium
   * takes the DevTools' `frozen` for a visible page and goes on; to other tabs a stopped process is
   * the same.)
   */
  async freeze(): Promise<() => void> {
    const before = await this.#processes();
    await this.page.evaluate((forMs) => {
      const until = performance.now() + forMs;
      while (performance.now() < until);
    }, BUSY_MS);
    const used = [...(await this.#processes())].map(
      ([id, seconds]) => [seconds - (before.get(id) ?? 0), id] as const,
    );
    const [, id] = used.reduce((most, each) => (each[0] > most[0] ? each : most));
    kill(id, 'SIGSTOP');
    return () => kill(id, 'SIGCONT');
  }

  /** The seconds that each process of a page has computed. */
  async #processes(): Promise<Map<number, number>> {
    const devtools = await this.page.context().browser()!.newBrowserCDPSession();
    const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
    await devtools.detach();
    const pages = processInfo.filter(({ type }) => type === 'renderer');
    return new Map(pages.map(({ id, cpuTime }) => [id, cpuTime]));
  }

  /** A headless browser shows all of its tabs at once: this is what a page would see of it. */
  async pretendToBe(visibility: DocumentVisibilityState): Promise<void> {
    await this.page.evaluate((state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, visibility);
  }
}

/** A delivery server, a network that a test can cut, and tabs of one browser profile. */
export const test = base.extend<World>({
  // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern here
  delivery: async ({}, provide) => {
    const delivery = await Delivery.open();
    await provide(delivery);
    await delivery.dispose();
  },
  network: async ({ delivery }, provide) => {
    const network = await Network.open();
    network.leadTo(delivery.port);
    await provide(network);
    await network.cut();
  },
  open: async ({ context, delivery, network }, provide) => {
    await provide((user = 'ann') => open(context, delivery, network, user));
  },
  openTabs: async ({ open }, provide) => {
    await provide(async (count) => {
      const tabs: Tab[] = [];
      while (tabs.length < count) {
        const tab = await open();
        await tab.isConnected();
        tabs.push(tab);
      }
      return tabs;
    });
  },
});

async function open(
  context: BrowserContext,
  delivery: Delivery,
  network: Network,
  user: string,
): Promise<Tab> {
  const page = await context.newPage();
  const server = network.origin.replace('http', 'ws');
  await page.goto(`${delivery.application}/?${String(new URLSearchParams({ server, user }))}`);
  return new Tab(page);
}

export { expect };
