import type { ConnectionStatus } from '../index.js';

/** How many frames, moments and so on are remembered; the oldest make room. */
export const FRAMES_MAX = 500;
export const MOMENTS_MAX = 200;
export const STATES_MAX = 200;
export const LATENCIES_MAX = 120;
export const HANDLERS_MAX = 200;
export const TABS_MAX = 32;

/** How much of a frame's text is kept, in UTF-16 units. */
export const FRAME_TEXT_MAX = 16_384;

/** The newest so many of something. */
export class Ring<T> {
  readonly #max: number;
  #items: readonly T[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** The oldest first; a new array after every change. */
  get items(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    this.#items = [...this.#items.slice(1 - this.#max), item];
  }

  replaceLast(item: T): void {
    this.#items = [...this.#items.slice(0, -1), item];
  }

  clear(): void {
    this.#items = [];
  }
}

export type Direction = 'in' | 'out';

export interface FrameRecord {
  readonly number: number;
  /** In ms since 1970. */
  readonly at: number;
  readonly direction: Direction;
  readonly type: string;
  readonly text: string;
  /** Of the whole text, in UTF-16 units. */
  readonly size: number;
  /** So many that came in a row: of an answer's pieces only the last is kept. */
  readonly count: number;
  readonly seq: number | undefined;
  /** It came by way of the tab that leads. */
  readonly isShared: boolean;
}

export type Tone = 'plain' | 'good' | 'bad' | 'warn';

/** Something that happened, in words. */
export interface Moment {
  readonly number: number;
  readonly at: number;
  readonly text: string;
  readonly tone: Tone;
}

/** The connection has been so from here on. */
export interface StateRecord {
  readonly at: number;
  readonly status: ConnectionStatus;
}

export interface LatencyRecord {
  readonly at: number;
  readonly kind: 'ping' | 'send';
  readonly ms: number;
}

export interface HandlerRecord {
  readonly type: string;
  readonly name: string;
  calls: number;
  totalMs: number;
  longestMs: number;
  errors: number;
  lastError: string | null;
  /** Calls that have not settled. */
  pending: number;
}

export interface TabRecord {
  readonly id: number;
  readonly isThis: boolean;
  readonly isLeader: boolean;
  readonly heardAt: number;
}
