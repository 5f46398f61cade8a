import type { Have, Link, Standing } from '../connection/socket.js';
import * as Tab from './kinds.js';

/** Who it is from and for (0 for all), and what it says. */
export type Post = readonly [
  kind: number,
  from: number,
  to: number,
  a: number,
  b: number,
  c: number,
  payload?: unknown,
  /** What an older page does not know. */
  more?: unknown,
];

export interface TabEvents {
  posted(post: Post): void;
  /** The lock was granted, or taken away. */
  locked(isGranted: boolean): void;
}

/** The other tabs; null where the browser lacks, or refuses, what sharing a connection needs. */
export function meetTabs(name: string, events: TabEvents): Tabs | null {
  try {
    const canShare =
      typeof document === 'object' &&
      typeof BroadcastChannel === 'function' &&
      // Missing on pages that did not come over HTTPS.
      typeof (navigator as Partial<Navigator>).locks?.request === 'function';
    return canShare ? new Tabs(name, events) : null;
  } catch {
    // Blocked cookies and sandboxed frames: it is there, and throws.
    return null;
  }
}

/** Tells the other tabs that nobody is signed in any more, from one that has left before. */
export function sayGoodbye(name: string): void {
  const nothing = () => undefined;
  const tabs = meetTabs(name, { posted: nothing, locked: nothing });
  tabs?.post(Tab.SIGNED_OUT, 0);
  tabs?.close();
}

/** The other tabs in which the same user is signed in, and the lock that one of them holds. */
export class Tabs {
  readonly me = crypto.getRandomValues(new Uint32Array(1))[0] || 1;
  /** Whether anybody was heard: before, nothing needs to be passed on. */
  hasOthers = false;
  readonly #name: string;
  readonly #events: TabEvents;
  readonly #channel: BroadcastChannel;
  #request: LockRequest | null = null;

  constructor(name: string, events: TabEvents) {
    this.#name = name;
    this.#events = events;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<Post>) => {
      this.hasOthers = true;
      if (data[2] === 0 || data[2] === this.me) {
        events.posted(data);
      }
    };
  }

  post(kind: number, to: number, a = 0, b = 0, c = 0, payload?: unknown, more?: unknown): void {
    try {
      this.#channel.postMessage([kind, this.me, to, a, b, c, payload, more] satisfies Post);
    } catch {
      // As if nobody had heard it: whoever waits for an answer has a timer for that.
    }
  }

  lock(steal: boolean): void {
    this.#request?.end();
    this.#request = new LockRequest(this.#name, steal, this.#events);
  }

  close(): void {
    this.#request?.end();
    this.#channel.close();
  }
}

/** Waits for the lock, then holds it until `end`. */
class LockRequest {
  readonly #waiting = new AbortController();
  #release: (() => void) | null = null;

  constructor(name: string, steal: boolean, events: TabEvents) {
    const options = steal ? { steal } : { signal: this.#waiting.signal };
    const { signal } = this.#waiting;
    const hold = () =>
      new Promise<void>((release) => {
        if (signal.aborted) {
          release();
        } else {
          this.#release = release;
          events.locked(true);
        }
      });
    // What throws at once is a refusal as well.
    const request = async () => await navigator.locks.request(name, options, hold);
    request().catch(() => {
      if (!signal.aborted) {
        // Stolen; or, before it was granted, not to be had here at all: then this tab is on its own.
        events.locked(this.#release === null);
      }
    });
  }

  end(): void {
    this.#waiting.abort();
    this.#release?.();
  }
}

/** What a tab asks of the leading one, beside the position. */
export interface Question {
  /** What it has of streams; tabs of before give an empty list where nobody looks at them. */
  have?: Have | undefined;
  /** The message at the position, if that is to be proved. */
  id?: string | null | undefined;
  /** Where the tab is. */
  at?: Standing | undefined;
}

/** The way to the server through the tab that leads. */
export class TabLink implements Link {
  readonly conn: number;
  readonly leader: number;
  readonly established = null;
  readonly passedOn = null;
  /** The leading tab's own connection that this one is part of. */
  readonly #through: number;
  readonly #tabs: Tabs;

  constructor(conn: number, leader: number, through: number, tabs: Tabs) {
    this.conn = conn;
    this.leader = leader;
    this.#through = through;
    this.#tabs = tabs;
  }

  send(text: string, id: string): void {
    this.#tabs.post(Tab.OUT, this.leader, this.#through, 0, 0, [id, text]);
  }

  ping(): void {
    this.#tabs.post(Tab.PING, this.leader);
  }

  ask(after: number, epoch: unknown, have?: Have, id?: string | null, at?: Standing): void {
    const more: Question = { have, id, at };
    this.#tabs.post(Tab.ASK, this.leader, after, 0, 0, epoch, more);
  }

  detach(): void {
    // There is nothing to close: frames of another link are not listened to.
  }
}
