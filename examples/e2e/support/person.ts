import type { Locator, Page } from '@playwright/test';

/** Somebody in front of a browser. */
export class Person {
  /** Every error and warning of the page since it was opened. */
  readonly complaints: string[] = [];

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (line) => {
      if (['error', 'warning'].includes(line.type())) this.complaints.push(line.text());
    });
  }

  static async arrive(page: Page): Promise<Person> {
    const person = new Person(page);
    await page.goto('/');
    return person;
  }

  get connection(): Locator {
    return this.page.getByRole('status', { name: 'Connection' });
  }

  get outbox(): Locator {
    return this.page.getByRole('status', { name: 'Outbox' });
  }

  get notes(): Locator {
    return this.page.getByRole('list', { name: 'Notes' }).getByRole('listitem');
  }

  async signIn(name: string): Promise<void> {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.getByRole('heading', { name: `Notes of ${name}` }).waitFor();
  }

  async write(to: string, text: string): Promise<void> {
    await this.page.getByLabel('To', { exact: true }).fill(to);
    await this.page.getByLabel('Note', { exact: true }).fill(text);
    await this.page.getByRole('button', { name: 'Send' }).click();
  }
}
