import { expect, type Locator, type Page, type WebSocket } from '@playwright/test';

export interface Account {
  name: string;
  email: string;
  password: string;
}

let accounts = 0;

export function newAccount(name: string): Account {
  accounts += 1;
  const address = `${name.toLowerCase()}-${String(process.pid)}-${String(accounts)}@example.com`;
  return { name, email: address, password: 'correct horse battery' };
}

interface Frame {
  type: string;
  [field: string]: unknown;
}

/** Somebody in front of one tab, who knows the page by what it says. */
export class Person {
  /** Every frame that came over a WebSocket, in order. */
  readonly received: Frame[] = [];
  readonly #sockets: WebSocket[] = [];

  private constructor(readonly page: Page) {
    page.on('websocket', (socket) => {
      this.#sockets.push(socket);
      socket.on('framereceived', ({ payload }) => {
        if (typeof payload === 'string') this.received.push(JSON.parse(payload) as Frame);
      });
    });
  }

  static async arrive(page: Page, url: string): Promise<Person> {
    const person = new Person(page);
    await page.goto(url);
    return person;
  }

  /** The same person, in another tab of the same browser. */
  async anotherTab(): Promise<Person> {
    return Person.arrive(await this.page.context().newPage(), this.page.url());
  }

  async signUp(account: Account): Promise<void> {
    const { page } = this;
    await page.getByRole('link', { name: 'Create an account' }).click();
    await page.getByLabel('Name').fill(account.name);
    await page.getByLabel('E-mail').fill(account.email);
    await page.getByLabel('Password', { exact: true }).fill(account.password);
    await page.getByRole('button', { name: 'Create account' }).click();
    await this.isConnected();
  }

  async signIn(account: Account): Promise<void> {
    const { page } = this;
    await page.getByLabel('E-mail').fill(account.email);
    await page.getByLabel('Password', { exact: true }).fill(account.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  async signOut(): Promise<void> {
    await this.page.getByRole('button', { name: /account/i }).click();
    await this.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await expect(this.page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  }

  async ask(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  async isConnected(): Promise<void> {
    await expect(this.badge).toHaveText(/^Connected/);
  }

  /** The conversation that was begun has an address, for reloads and other tabs. */
  async hasAddress(): Promise<void> {
    await expect(this.page).toHaveURL(/\/c\//);
  }

  /** How often a text stands in the conversation. */
  said(text: string): Locator {
    return this.log.getByText(text, { exact: true });
  }

  get composer(): Locator {
    return this.page.getByRole('textbox', { name: 'Message' });
  }

  get log(): Locator {
    return this.page.getByRole('log');
  }

  /** The answer at the end of the conversation. */
  get answer(): Locator {
    return this.log
      .getByRole('listitem')
      .filter({ hasText: /^Answer:/ })
      .last();
  }

  /** The text of that answer, without what can be done about it. */
  get answerText(): Locator {
    return this.answer.locator('.markdown');
  }

  get stopButton(): Locator {
    return this.page.getByRole('button', { name: 'Stop', exact: true });
  }

  /** Notes down every text that the last answer shows, from now on. */
  async watchAnswer(): Promise<() => Promise<string[]>> {
    await this.page.evaluate(() => {
      const seen: string[] = [];
      const look = (): void => {
        const texts = [...document.querySelectorAll('.message--answer .markdown')];
        const text = texts.at(-1)?.textContent ?? '';
        if (text !== seen.at(-1)) seen.push(text);
      };
      new MutationObserver(look).observe(document.body, {
        subtree: true,
        childList: true,
        characterData: true,
      });
      Object.assign(window, { seen });
    });
    return () => this.page.evaluate(() => (window as unknown as { seen: string[] }).seen);
  }

  get badge(): Locator {
    return this.page.getByTestId('connection-status');
  }

  get conversations(): Locator {
    return this.page.getByRole('navigation', { name: 'Conversations' });
  }

  /** Sockets that this tab has opened and that are still open. */
  get openSockets(): number {
    return this.#sockets.filter((socket) => !socket.isClosed()).length;
  }

  /** What has come of this type as far as the test was told, which may be later than the page shows it. */
  framesOfType(type: string): Frame[] {
    return this.received.filter((frame) => frame.type === type);
  }

  /**
   * Waits for that many frames of this type, and no more. What a page shows proves no frame: an answer
   * can be read in full before the message that ends it, and the browser tells a test of frames later.
   */
  async hasFrames(type: string, count: number): Promise<Frame[]> {
    await expect.poll(() => this.framesOfType(type).length, `${type} frames`).toBe(count);
    return this.framesOfType(type);
  }
}
