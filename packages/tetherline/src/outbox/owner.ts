import { uuidv7 } from '../core/uuid.js';

/** How long a reloaded page waits for its predecessor to be gone, in ms. */
const PREDECESSOR_TIMEOUT_MS = 1_000;

/** How long a page waits for a lock that only it knows of, in ms. */
const HOLD_TIMEOUT_MS = 1_000;

const PREFIX = 'tetherline-outbox:';

/** The owners of the page that this tab showed before, and of this one. */
let predecessors: string[] | undefined;
const ofThisPage: string[] = [];

/**
 * Who sends what is kept: a page, for as long as it lives. It holds a lock of its name, which ends
 * with it, whatever ends it.
 */
export class Owner {
  readonly id = uuidv7();
  /** Whether the lock is held, or is not to be had. */
  #holding: Promise<boolean> | undefined;
  #release: (() => void) | undefined;
  /** Ends what waits for a lock when the page steps away, and what becomes of it when that is over. */
  #away = new AbortController();
  #back = Promise.resolve();
  #comeBack: (() => void) | undefined;

  /**
   * Calls `adopt` with the question whether an owner is gone, while no other page does the same.
   * Without Web Locks (plain http), or where they are refused (blocked cookies, a sandboxed frame),
   * everybody else counts as gone: the server recognises repeats.
   */
  async adopt<T>(
    signal: AbortSignal,
    adopt: (isOrphan: (owner: string) => boolean) => Promise<T>,
  ): Promise<T> {
    const locks = webLocks();
    // Locks that are there and never answer are as none.
    const late = new Promise<false>((resolve) => setTimeout(resolve, HOLD_TIMEOUT_MS, false));
    const isHeld = (this.#holding ??= Promise.race([locks ? this.#hold(locks) : false, late]));
    if (!locks || !(await isHeld)) {
      return await adopt(() => true);
    }
    await Promise.all(
      leftBehind().map((owner) =>
        untilGone(locks, owner, AbortSignal.timeout(PREDECESSOR_TIMEOUT_MS)),
      ),
    );
    return await locks.request(`${PREFIX}adopt`, { signal }, async () => {
      // After ours is held and before anybody else may ask: no page can take ours for an orphan.
      const { held = [] } = await locks.query();
      const living = new Set(held.map(({ name }) => name));
      return await adopt((owner) => owner === this.id || !living.has(PREFIX + owner));
    });
  }

  /** Resolves when this owner is gone, whatever ended it. */
  async untilGone(owner: string): Promise<void> {
    const locks = webLocks();
    while (locks) {
      const { signal } = this.#away;
      await untilGone(locks, owner, signal);
      if (!signal.aborted) {
        return;
      }
      await this.#back;
    }
  }

  /** Gives the lock back while the page may be kept without running: others may send what is its. */
  stepAway(): void {
    this.#back = new Promise((back) => (this.#comeBack = back));
    this.#away.abort();
    this.#release?.();
  }

  /** Takes the lock again. */
  comeBack(): void {
    const locks = webLocks();
    this.#away = new AbortController();
    this.#comeBack?.();
    if (locks && this.#release) {
      this.#holding = this.#hold(locks);
    }
  }

  async #hold(locks: LockManager): Promise<boolean> {
    try {
      await new Promise<void>((granted, failed) => {
        locks
          .request(PREFIX + this.id, () => {
            granted();
            return new Promise<void>((release) => (this.#release = release));
          })
          .catch(failed);
      });
    } catch {
      return false;
    }
    ofThisPage.push(this.id);
    leftBehind();
    try {
      sessionStorage.setItem(PREFIX, ofThisPage.join());
    } catch {
      // A reload then finds no predecessor, and does not wait for it.
    }
    return true;
  }
}

function webLocks(): LockManager | undefined {
  return (globalThis.navigator as { locks?: LockManager } | undefined)?.locks;
}

/** A reloaded page can run before the browser has let go of what the old one held. */
function leftBehind(): string[] {
  try {
    predecessors ??= sessionStorage.getItem(PREFIX)?.split(',') ?? [];
  } catch {
    predecessors = [];
  }
  return predecessors;
}

/** Or until nobody wants to know: an owner lives on if this tab is a copy of its. */
async function untilGone(locks: LockManager, owner: string, signal?: AbortSignal): Promise<void> {
  const options = { mode: 'shared', signal } as LockOptions;
  await locks.request(PREFIX + owner, options, () => undefined).catch(() => undefined);
}
