// Bare IndexedDB: one table, and a wrapper library would be larger than this file.

const NAME = 'tetherline-outbox';
const TABLE = 'sends';

/** A send in the table. Its key is `scope`, `at` and `id`, so that reading gives the order. */
export interface StoredSend {
  /** Whose it is, and where it goes. */
  readonly scope: string;
  /** When it was sent, in ms since 1970, and a little more where two fell together. */
  readonly at: number;
  readonly id: string;
  /** The page that sends it. */
  readonly owner: string;
  /** The message as JSON. */
  readonly text: string;
  /** In ms since 1970. */
  readonly expiresAt: number;
}

export class Database {
  #opening: Promise<IDBDatabase> | undefined;

  /**
   * Runs `work` in one transaction, after those of earlier calls. Resolves when it is committed.
   * Browsers lose connections now and then, and close them for a newer page: what fails on one that
   * was open before is run once more on a new one.
   */
  async write(work: (table: IDBObjectStore) => void): Promise<void> {
    const known = this.#opening;
    try {
      await this.#writeOnce(work);
    } catch (error) {
      if (!known) {
        throw error;
      }
      await this.#writeOnce(work);
    }
  }

  /** Gives the connection back; the next call opens another one. */
  close(): void {
    this.#opening?.then((database) => database.close()).catch(() => undefined);
    this.#opening = undefined;
  }

  async #writeOnce(work: (table: IDBObjectStore) => void): Promise<void> {
    const opening = (this.#opening ??= open());
    try {
      const database = await opening;
      await new Promise<void>((resolve, reject) => {
        const transaction = database.transaction(TABLE, 'readwrite');
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(failure(transaction.error));
        work(transaction.objectStore(TABLE));
      });
    } catch (error) {
      // The next call opens anew; one that is opening already is left to it.
      if (this.#opening === opening) {
        this.#opening = undefined;
      }
      throw error;
    }
  }
}

export function keyOf({ scope, at, id }: StoredSend): IDBValidKey {
  return [scope, at, id];
}

/** Everything in a scope. */
export function rangeOf(scope: string): IDBKeyRange {
  // An array sorts behind every number.
  return IDBKeyRange.bound([scope], [scope, []]);
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () =>
      request.result.createObjectStore(TABLE, { keyPath: ['scope', 'at', 'id'] });
    request.onsuccess = () => {
      // A page of a newer version must be able to change the table.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(failure(request.error));
  });
}

function failure(error: DOMException | null): Error {
  return error ?? new Error('IndexedDB gave up.');
}
