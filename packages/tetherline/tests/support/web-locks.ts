/**
 * Web Locks, which neither jsdom nor Node 20 has: exclusive locks of pages that can die, as far as
 * an outbox needs them. The end-to-end tests use a browser's.
 */
export class WebLocks {
  readonly #held = new Map<string, LockPage>();
  readonly #waiting: { name: string; page: LockPage; grant: () => void }[] = [];

  /** What a page sees as `navigator.locks`. */
  page(): LockPage {
    return new LockPage(this);
  }

  get names(): string[] {
    return [...this.#held.keys()];
  }

  acquire(name: string, page: LockPage, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = { name, page, grant: resolve };
      this.#waiting.push(request);
      signal?.addEventListener('abort', () => {
        const index = this.#waiting.indexOf(request);
        if (index >= 0) {
          this.#waiting.splice(index, 1);
          reject(signal.reason as Error);
        }
      });
      this.#grant();
    });
  }

  release(name: string): void {
    this.#held.delete(name);
    this.#grant();
  }

  releaseAllOf(page: LockPage): void {
    for (const [name, holder] of this.#held) {
      if (holder === page) {
        this.release(name);
      }
    }
  }

  #grant(): void {
    for (const request of [...this.#waiting]) {
      if (!this.#held.has(request.name)) {
        this.#held.set(request.name, request.page);
        this.#waiting.splice(this.#waiting.indexOf(request), 1);
        request.grant();
      }
    }
  }
}

export class LockPage {
  readonly #locks: WebLocks;

  constructor(locks: WebLocks) {
    this.#locks = locks;
  }

  async request<T>(
    name: string,
    ...given: [() => T] | [{ signal?: AbortSignal }, () => T]
  ): Promise<Awaited<T>> {
    const [options, held] = given.length === 2 ? given : [{ signal: undefined }, given[0]];
    await this.#locks.acquire(name, this, options.signal);
    try {
      return await held();
    } finally {
      this.#locks.release(name);
    }
  }

  query(): Promise<{ held: { name: string }[] }> {
    return Promise.resolve({ held: this.#locks.names.map((name) => ({ name })) });
  }

  /** The page is gone, however it went. */
  die(): void {
    this.#locks.releaseAllOf(this);
  }
}
