import { expired } from '../core/sends/outbox.js';
import { OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS_MAX } from '../generated/protocol.js';
import type {
  Accepted,
  KeptOutbox,
  KeptSend,
  OutboxPage,
  OutgoingMessage,
  TetherlineError,
} from '../index.js';
import { type Database, keyOf, rangeOf, type StoredSend } from './database.js';
import type { Owner } from './owner.js';

/** How long sends wait for what an earlier page left to be read, in ms. */
const RESTORE_TIMEOUT_MS = 3_000;

/** How far apart sends of the same ms are put: a whole outbox of them stays within the next. */
const STEP_MS = 1 / OUTBOX_MESSAGES_MAX;

/** A send of an earlier page, and how it ends. Nobody has to look at `settled`. */
export type OnRestored = (message: OutgoingMessage, settled: Promise<Accepted>) => void;

/** What becomes of a send that a page finds. */
type Fate = 'ours' | 'expired' | 'unreadable' | 'over' | 'left';

/** One user's sends at one address: those of earlier pages first, then this one's. */
export class RestoringOutbox implements KeptOutbox {
  readonly #page: OutboxPage;
  readonly #database: Database;
  readonly #owner: Owner;
  readonly #failed: (cause: unknown) => void;
  readonly #onRestored: OnRestored | undefined;
  readonly #scope: string;
  /** What this page sends, by id. */
  readonly #sends = new Map<string, StoredSend>();
  /** Pages that send something of this user's, and whose end this one waits for. */
  readonly #others = new Set<string>();
  #last = 0;

  constructor(
    page: OutboxPage,
    database: Database,
    owner: Owner,
    failed: (cause: unknown) => void,
    onRestored: OnRestored | undefined,
  ) {
    this.#page = page;
    this.#database = database;
    this.#owner = owner;
    this.#failed = failed;
    this.#onRestored = onRestored;
    this.#scope = scopeOf(page.session);
  }

  /** Sends what earlier pages left. Never rejects. */
  async restore(): Promise<void> {
    await this.#adopt();
    this.#page.restored();
  }

  async #adopt(): Promise<void> {
    const deadline = AbortSignal.timeout(RESTORE_TIMEOUT_MS);
    try {
      const found = this.#owner.adopt(deadline, (isOrphan) => this.#take(deadline, isOrphan));
      for (const [send, fate] of await before(deadline, found)) {
        if (this.#page.session.isLive) {
          this.#restore(send, fate);
        }
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * What another page sends is this one's as soon as that one is gone. It may be gone already: a
   * browser takes a moment to let go of what a closed page held.
   */
  #followOn(owner: string): void {
    if (owner === this.#owner.id || this.#others.has(owner)) {
      return;
    }
    this.#others.add(owner);
    void this.#owner.untilGone(owner).then(() => {
      this.#others.delete(owner);
      if (this.#page.session.isLive) {
        void this.#adopt();
      }
    });
  }

  put(send: KeptSend): void {
    const { id, text, ttlMs, settled } = send;
    // A restored one is there.
    if (this.#sends.has(id)) {
      return;
    }
    const now = Date.now();
    this.#last = Math.max(now, this.#last + STEP_MS);
    const stored: StoredSend = {
      scope: this.#scope,
      at: this.#last,
      id,
      owner: this.#owner.id,
      text,
      expiresAt: now + ttlMs,
    };
    this.#write((table) => table.put(stored));
    this.#sends.set(id, stored);
    this.#removeWhenSettled(stored, settled);
  }

  clear(whose: 'page' | 'user'): void {
    if (whose === 'page') {
      const sends = [...this.#sends.values()];
      this.#write((table) => sends.forEach((send) => table.delete(keyOf(send))));
      return;
    }
    const [scope, until] = [this.#scope, Math.max(Date.now(), this.#last)];
    // A page that goes away right after signing out may not get to delete anything; this it does.
    const mark = markOf(scope);
    inStorage((storage) => storage.setItem(mark, String(until)));
    this.#database
      .write((table) => table.delete(rangeOf(scope)))
      .then(() => inStorage((storage) => storage.removeItem(mark)), this.#failed);
  }

  /** Makes its own what belongs to this page or to none that lives, as far as an outbox holds. */
  async #take(
    deadline: AbortSignal,
    isOrphan: (owner: string) => boolean,
  ): Promise<[StoredSend, Fate][]> {
    deadline.throwIfAborted();
    const mark = markOf(this.#scope);
    const signedOutAt = Number(inStorage((storage) => storage.getItem(mark)) ?? -1);
    const found: [StoredSend, Fate][] = [];
    let [messages, bytes, later] = [0, 0, 0];
    await this.#database.write((table) => {
      // It may be run a second time, on another connection.
      [messages, bytes, later] = [0, 0, 0];
      found.length = 0;
      const reading = table.getAll() as IDBRequest<StoredSend[]>;
      reading.onsuccess = () => {
        for (const send of reading.result) {
          const fate = this.#fateOf(send, signedOutAt, isOrphan);
          if (fate === 'ours') {
            messages += 1;
            bytes += send.text.length;
            if (messages > OUTBOX_MESSAGES_MAX || bytes > OUTBOX_BYTES_MAX) {
              later += 1;
              continue;
            }
            table.put({ ...send, owner: this.#owner.id });
          } else if (fate !== 'left') {
            table.delete(keyOf(send));
          }
          if (send.scope === this.#scope) {
            found.push([send, fate]);
          }
        }
      };
    });
    inStorage((storage) => storage.removeItem(mark));
    if (later > 0) {
      this.#page.problem(`The outbox is full: ${later} kept sends wait for a later page.`);
    }
    return found;
  }

  #fateOf(send: StoredSend, signedOutAt: number, isOrphan: (owner: string) => boolean): Fate {
    const isExpired = send.expiresAt <= Date.now();
    if (send.scope !== this.#scope) {
      // Nobody may ever come for another user's.
      return isExpired ? 'expired' : 'left';
    }
    if (send.at <= signedOutAt) {
      return 'over';
    }
    if (!isReadable(send)) {
      return 'unreadable';
    }
    const known = this.#sends.get(send.id);
    if (known?.at === send.at || !isOrphan(send.owner)) {
      return 'left';
    }
    // Whoever repeats a send by hand, meanwhile, has taken it over.
    return known ? 'over' : isExpired ? 'expired' : 'ours';
  }

  #restore(send: StoredSend, fate: Fate): void {
    if (fate === 'unreadable') {
      this.#page.problem('A kept send cannot be read; it is dropped.', send);
    } else if (fate === 'expired') {
      this.#tell(JSON.parse(send.text) as OutgoingMessage, Promise.reject(expired(send.id)));
    } else if (fate === 'ours') {
      const message = JSON.parse(send.text) as OutgoingMessage;
      // What is left of its time, whatever was done to the clock.
      const ttlMs = Math.min(Math.max(send.expiresAt - Date.now(), 1), OUTBOX_TTL_MS_MAX);
      this.#last = Math.max(this.#last, send.at);
      this.#sends.set(send.id, send);
      const settled = this.#page.restore(message, ttlMs);
      this.#removeWhenSettled(send, settled);
      this.#tell(message, settled);
    } else if (fate === 'left') {
      this.#followOn(send.owner);
    }
  }

  #tell(message: OutgoingMessage, settled: Promise<Accepted>): void {
    settled.catch((error: unknown) => {
      if (!this.#onRestored) {
        this.#page.problem('A send of an earlier page was not taken.', error);
      }
    });
    try {
      this.#onRestored?.(message, settled);
    } catch (error) {
      this.#page.problem('`onRestored` failed.', error);
    }
  }

  #removeWhenSettled(send: StoredSend, settled: Promise<Accepted>): void {
    const remove = () => {
      this.#sends.delete(send.id);
      this.#write((table) => table.delete(keyOf(send)));
    };
    settled.then(remove, (error: unknown) => {
      // When a page is left, what it could not send stays; signing out clears by itself.
      if ((error as TetherlineError).code !== 'signed_out') {
        remove();
      }
    });
  }

  #write(work: (table: IDBObjectStore) => void): void {
    this.#database.write(work).catch(this.#failed);
  }
}

/** A device is only where acknowledgements are counted; the sends are the user's. */
function scopeOf({ user, url }: OutboxPage['session']): string {
  const address = new URL(url);
  address.searchParams.delete('device');
  return `${encodeURIComponent(user)} ${address.href}`;
}

function markOf(scope: string): string {
  return `tetherline:signed-out:${scope}`;
}

function inStorage<T>(access: (storage: Storage) => T): T | undefined {
  try {
    return access(localStorage);
  } catch {
    // Blocked, or not a browser.
    return undefined;
  }
}

/** Whatever wrote it. */
function isReadable(send: StoredSend): boolean {
  try {
    const message = JSON.parse(send.text) as { id?: unknown } | null;
    return message?.id === send.id && typeof send.owner === 'string' && send.expiresAt > 0;
  } catch {
    return false;
  }
}

function before<T>(deadline: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    deadline.addEventListener('abort', () => reject(deadline.reason as Error));
    work.then(resolve, reject);
  });
}
