import type { Client, Snapshot } from '../index.js';

/** A page that draws nothing, although it is not said to be hidden, waits so long at most. */
const FRAME_MS_MAX = 100;

/**
 * What components see of a client: its snapshot as of the last frame. However often it changes
 * between two frames, they render once, and all of them see the same one.
 */
export class Frames {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #shown: Snapshot;
  #unsubscribe: (() => void) | undefined;
  #cancel: (() => void) | undefined;

  constructor(client: Client) {
    this.#client = client;
    this.#shown = client.getSnapshot();
  }

  readonly getSnapshot = (): Snapshot => {
    // Nobody is rendered who could disagree.
    if (this.#listeners.size === 0) {
      this.#shown = this.#client.getSnapshot();
    }
    return this.#shown;
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    if (this.#listeners.size === 0) {
      this.#shown = this.#client.getSnapshot();
      this.#unsubscribe = this.#client.subscribe(() => {
        this.#cancel ??= beforeNextFrame(() => this.#show());
      });
    }
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) {
        this.#unsubscribe?.();
        this.#cancel?.();
        this.#cancel = undefined;
      }
    };
  };

  #show(): void {
    this.#cancel = undefined;
    this.#shown = this.#client.getSnapshot();
    for (const listener of this.#listeners) {
      listener();
    }
  }
}

/** One for every component of a client. */
export function framesOf(client: Client): Frames {
  let frames = known.get(client);
  if (!frames) {
    frames = new Frames(client);
    known.set(client, frames);
  }
  return frames;
}

const known = new WeakMap<Client, Frames>();

/** Hidden pages have no frames: they do not wait. Returns its own undoing. */
function beforeNextFrame(run: () => void): (() => void) | undefined {
  if (typeof requestAnimationFrame !== 'function' || document.visibilityState === 'hidden') {
    run();
    return undefined;
  }
  const cancel = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  const once = () => {
    cancel();
    run();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, FRAME_MS_MAX);
  return cancel;
}
