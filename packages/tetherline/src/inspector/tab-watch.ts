import type { Session } from '../core/session.js';
import * as Tab from '../core/tabs/kinds.js';
import type { Post } from '../core/tabs/tabs.js';
import { type TabRecord, TABS_MAX } from './records.js';

/** Listens to what the tabs of a user post to each other, and says nothing. */
export class TabWatch {
  readonly #changed: () => void;
  #channel: BroadcastChannel | null = null;
  #name = '';
  #me = 0;
  #leader = 0;
  readonly #heard = new Map<number, number>();

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get list(): readonly TabRecord[] {
    const me = this.#me === 0 ? [] : [[this.#me, Date.now()] as const];
    return [...me, ...this.#heard].map(([id, heardAt]) => ({
      id,
      heardAt,
      isThis: id === this.#me,
      isLeader: id === this.#leader,
    }));
  }

  follow({ tabs, tabsName, link }: Session): void {
    if (tabs === null) {
      return this.stop();
    }
    if (this.#name !== tabsName) {
      this.stop();
      this.#name = tabsName;
      this.#channel = new BroadcastChannel(tabsName);
      this.#channel.onmessage = ({ data }: MessageEvent<Post>) => this.#hear(data);
    }
    this.#me = tabs.me;
    if (link && 'leader' in link) {
      this.#leader = link.leader as number;
    } else if (link) {
      this.#leader = tabs.me;
    }
  }

  stop(): void {
    this.#channel?.close();
    this.#channel = null;
    this.#name = '';
    this.#me = 0;
    this.#leader = 0;
    this.#heard.clear();
  }

  #hear([kind, from]: Post): void {
    if (from === this.#me) {
      return;
    }
    this.#heard.delete(from);
    this.#heard.set(from, Date.now());
    const [oldest] = this.#heard.keys();
    if (oldest !== undefined && this.#heard.size > TABS_MAX) {
      this.#heard.delete(oldest);
    }
    if (kind === Tab.FRAME || kind === Tab.WELCOME) {
      this.#leader = from;
    }
    this.#changed();
  }
}
