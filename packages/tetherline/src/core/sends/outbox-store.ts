import type { Accepted, OutgoingMessage } from '../types.js';

/** A send as an {@link OutboxStore} keeps it. */
export interface KeptSend {
  readonly id: string;
  /** The message as JSON. */
  readonly text: string;
  /** How long it may wait to be taken, from now on, in ms. */
  readonly ttlMs: number;
  readonly settled: Promise<Accepted>;
}

/** What an {@link OutboxStore} is told of whoever is signed in. */
export interface OutboxPage {
  readonly session: {
    readonly user: string;
    /** The address of the WebSocket, its `device` included. */
    readonly url: string;
    /** Turns false at sign-out. */
    readonly isLive: boolean;
  };
  /** Sends what an earlier page left, before anything of this page. */
  readonly restore: (message: OutgoingMessage, ttlMs: number) => Promise<Accepted>;
  /** Everything is restored. Nothing is sent before, so it has to be called within seconds. */
  readonly restored: () => void;
  /** Tells the console. */
  readonly problem: (text: string, cause?: unknown) => void;
}

/** One user's sends that have not settled. */
export interface KeptOutbox {
  /** Keeps a send until it settles. Restored ones come by here too. */
  put(send: KeptSend): void;
  /**
   * The person has signed out, here or in another tab: forgets what is theirs, or only what this
   * page keeps, since in that other tab they may be back.
   */
  clear(whose: 'page' | 'user'): void;
}

/** Keeps sends over a reload. `tetherline/outbox` has one; none of its methods throws. */
export interface OutboxStore {
  /** Somebody is signed in. */
  open(page: OutboxPage): KeptOutbox;
}
