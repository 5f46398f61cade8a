import { BroadcastChannel } from 'node:worker_threads';

import { afterEach, beforeEach, vi } from 'vitest';

interface Options {
  steal?: boolean;
  signal?: AbortSignal;
}

interface Request {
  grant: () => void;
  refuse: () => void;
}

/** Stands in for `navigator.locks`, which Node does not have: exclusive locks, and stealing. */
export class FakeLocks {
  /** Whether every request is refused, as where storage is blocked. */
  isForbidden = false;
  readonly #held = new Map<string, Request>();
  readonly #waiting = new Map<string, Request[]>();

  /** Names of the locks that somebody holds. */
  get names(): string[] {
    return [...this.#held.keys()];
  }

  request(name: string, options: Options, hold: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const request: Request = {
        grant: () => {
          this.#held.set(name, request);
          queueMicrotask(() => {
            void hold().then(() => {
              resolve();
              this.#release(name, request);
            });
          });
        },
        refuse: () => reject(new DOMException('The lock was stolen.', 'AbortError')),
      };
      if (this.isForbidden) {
        reject(new DOMException('Locks are not to be had here.', 'SecurityError'));
        return;
      }
      options.signal?.addEventListener('abort', () => {
        const waiting = this.#waiting.get(name) ?? [];
        if (waiting.includes(request)) {
          waiting.splice(waiting.indexOf(request), 1);
          request.refuse();
        }
      });
      const holder = this.#held.get(name);
      if (holder && !options.steal) {
        this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), request]);
        return;
      }
      holder?.refuse();
      request.grant();
    });
  }

  #release(name: string, request: Request): void {
    if (this.#held.get(name) === request) {
      this.#held.delete(name);
      this.#waiting.get(name)?.shift()?.grant();
    }
  }
}

/** Every client of a test is a tab of one browser profile. */
export function givenTabs(): { locks: FakeLocks } {
  const browser = { locks: new FakeLocks() };
  beforeEach(() => {
    browser.locks = new FakeLocks();
    vi.stubGlobal('BroadcastChannel', BroadcastChannel);
    Object.defineProperty(navigator, 'locks', { value: browser.locks, configurable: true });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    Reflect.deleteProperty(navigator, 'locks');
    localStorage.clear();
  });
  return browser;
}
