import { beforeNextFrame, hasFrames } from '../core/page/frame.js';
import type { Client, Snapshot, StreamedMessage } from '../index.js';

/** What changes, and says so. */
interface Source<T> {
  readonly get: () => T;
  /** Whether what there is now has to be seen before the next frame. */
  readonly isUrgent?: () => boolean;
  readonly subscribe: (listener: () => void) => () => void;
}

/**
 * What components see of a client: something of it as of the last frame. However often it changes
 * between two frames, they render once, and all of them see the same.
 */
export class Frames<T> {
  readonly #source: Source<T>;
  readonly #listeners = new Set<() => void>();
  #shown: T;
  #unsubscribe: (() => void) | undefined;
  #cancel: (() => void) | undefined;

  constructor(source: Source<T>) {
    this.#source = source;
    this.#shown = source.get();
  }

  readonly get = (): T => {
    // Nobody is rendered who could disagree.
    if (this.#listeners.size === 0) {
      this.#shown = this.#source.get();
    }
    return this.#shown;
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    if (this.#listeners.size === 0) {
      this.#shown = this.#source.get();
      this.#unsubscribe = this.#source.subscribe(() => {
        if (this.#source.isUrgent?.() || !hasFrames()) {
          this.#cancel?.();
          this.#show();
        } else {
          this.#cancel ??= beforeNextFrame(() => this.#show());
        }
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
    this.#shown = this.#source.get();
    for (const listener of this.#listeners) {
      listener();
    }
  }
}

interface FramesOfClient {
  readonly snapshot: Frames<Snapshot>;
  readonly streams: Frames<readonly StreamedMessage[]>;
}

/** The same for every component of a client. */
export function framesOf(client: Client): FramesOfClient {
  let frames = known.get(client);
  if (!frames) {
    frames = {
      snapshot: new Frames({ get: client.getSnapshot, subscribe: client.subscribe }),
      streams: new Frames({
        get: client.getStreams,
        subscribe: client.subscribeStreams,
        // Nothing of one person is on the screen when the next one signs in.
        isUrgent: () => client.getStreams().length === 0,
      }),
    };
    known.set(client, frames);
  }
  return frames;
}

const known = new WeakMap<Client, FramesOfClient>();
