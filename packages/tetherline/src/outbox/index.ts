import { Owner } from './owner.js';
import { type OnRestored, RestoringOutbox } from './restoring-outbox.js';
import { Database } from './database.js';
import type { OutboxStore } from '../index.js';

export type { OnRestored } from './restoring-outbox.js';
export type { KeptOutbox, KeptSend, OutboxPage, OutboxStore } from '../index.js';

export interface IndexedDbOutboxOptions {
  /**
   * Called for every send of an earlier page: show it as still under way, and look at `settled`. One
   * whose time was over before any page could send it comes too, rejected with `expired`.
   */
  onRestored?: OnRestored;
}

/**
 * Keeps sends in IndexedDB until they settle, so that they survive a reload; signing out forgets
 * them. One per client. Where there is no storage, sends live as long as the page.
 */
export function indexedDbOutbox(options: IndexedDbOutboxOptions = {}): OutboxStore {
  const database = new Database();
  const owner = new Owner();
  let isWarned = false;
  let isWatching = false;
  return {
    open(page) {
      if (!isWatching && typeof window !== 'undefined') {
        isWatching = true;
        // A page in the back-forward cache holds nothing that others may want.
        window.addEventListener('pagehide', () => {
          database.close();
          owner.stepAway();
        });
        window.addEventListener('pageshow', ({ persisted }) => {
          if (persisted) {
            owner.comeBack();
          }
        });
      }
      const failed = (cause: unknown) => {
        if (!isWarned) {
          isWarned = true;
          page.problem('Sends cannot be kept here, so they live as long as this page.', cause);
        }
      };
      const outbox = new RestoringOutbox(page, database, owner, failed, options.onRestored);
      void outbox.restore();
      return outbox;
    },
  };
}
