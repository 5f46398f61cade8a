import type { Session } from '../session.js';
import { sayGoodbye } from './tabs.js';

/** Whom a client has left, and who is not signed out yet: that may turn out later. */
export class Left {
  #session: Session | null = null;

  leave(session: Session | null): void {
    this.#session = session?.isLive ? session : this.#session;
  }

  /** Somebody signs in. */
  meet(user: string): void {
    if (this.#session?.user === user) {
      this.#session = null;
    }
  }

  signOut(hasTabs: boolean): void {
    const session = this.#session;
    this.#session = null;
    if (session && hasTabs) {
      sayGoodbye(session.tabsName);
    }
    session?.outbox.kept?.clear('user');
  }
}
