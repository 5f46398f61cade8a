import type { Loop } from '../core/engine/loop.js';
import type { Session } from '../core/session.js';
import { MESSAGE_DELTA } from '../generated/protocol.js';
import type { Client, ConnectionStatus, Handler, Message } from '../index.js';
import {
  type Direction,
  FRAME_TEXT_MAX,
  type FrameRecord,
  FRAMES_MAX,
  type HandlerRecord,
  HANDLERS_MAX,
  type LatencyRecord,
  LATENCIES_MAX,
  type Moment,
  MOMENTS_MAX,
  Ring,
  type StateRecord,
  STATES_MAX,
  type Tone,
} from './records.js';
import { TabWatch } from './tab-watch.js';

/** What is remembered of one client. */
export class ClientRecord {
  readonly client: Client;
  session: Session | null = null;
  loop: Loop | undefined;
  readonly frames = new Ring<FrameRecord>(FRAMES_MAX);
  readonly moments = new Ring<Moment>(MOMENTS_MAX);
  readonly states = new Ring<StateRecord>(STATES_MAX);
  readonly latencies = new Ring<LatencyRecord>(LATENCIES_MAX);
  readonly handlers = new Map<string, HandlerRecord>();
  readonly tabs: TabWatch;
  /** The last `connection_established`. */
  established: Message | null = null;
  /** The last position that was acknowledged, on this page. */
  acknowledged = 0;
  /** Every attempt to connect is broken off. */
  isCut = false;
  #numbers = 0;
  readonly #changed: () => void;
  readonly #started = new Map<string, number>();

  constructor(client: Client, changed: () => void) {
    this.client = client;
    this.#changed = changed;
    this.tabs = new TabWatch(changed);
    this.#followStatus();
    client.subscribe(() => this.#followStatus());
  }

  frame(direction: Direction, text: string, isShared = false): Message | null {
    const frame = parse(text);
    const before = this.frames.items.at(-1);
    const goesOn = frame?.type === MESSAGE_DELTA && before?.type === MESSAGE_DELTA;
    this.#numbers += 1;
    const record: FrameRecord = {
      number: goesOn ? before.number : this.#numbers,
      at: Date.now(),
      direction,
      type: frame?.type ?? '(no frame)',
      text: text.slice(0, FRAME_TEXT_MAX),
      size: text.length,
      seq: typeof frame?.seq === 'number' ? frame.seq : undefined,
      count: goesOn ? before.count + 1 : 1,
      isShared,
    };
    if (goesOn) {
      this.frames.replaceLast(record);
    } else {
      this.frames.push(record);
    }
    this.#changed();
    return frame;
  }

  moment(text: string, tone: Tone = 'plain'): void {
    this.#numbers += 1;
    this.moments.push({ number: this.#numbers, at: Date.now(), text, tone });
    this.#changed();
  }

  /** Something begins that will be answered. */
  starts(what: string): void {
    this.#started.set(what, performance.now());
  }

  /** It is answered, or never will be. */
  ends(what: string, kind: LatencyRecord['kind'] | null): void {
    const startedAt = this.#started.get(what);
    this.#started.delete(what);
    if (startedAt !== undefined && kind) {
      this.latencies.push({ at: Date.now(), kind, ms: performance.now() - startedAt });
      this.#changed();
    }
  }

  /** Null when there are too many to tell apart. */
  handler(type: string, { name }: Handler): HandlerRecord | null {
    const key = `${type} ${name}`;
    let record = this.handlers.get(key);
    if (!record && this.handlers.size < HANDLERS_MAX) {
      record = {
        type,
        name: name || '(anonymous)',
        calls: 0,
        totalMs: 0,
        longestMs: 0,
        errors: 0,
        lastError: null,
        pending: 0,
      };
      this.handlers.set(key, record);
    }
    this.#changed();
    return record ?? null;
  }

  #followStatus(): void {
    const { status } = this.client.getSnapshot();
    const before = this.states.items.at(-1)?.status;
    if (before !== status) {
      this.states.push({ at: Date.now(), status });
      if (before === 'connected') {
        this.moment(LOSSES[status] ?? 'The connection is lost.', 'warn');
      }
    }
    this.#changed();
  }
}

const LOSSES: Partial<Record<ConnectionStatus, string>> = {
  signed_out: 'Signed out.',
  waiting: 'The connection is lost, and tried again.',
};

function parse(text: string): Message | null {
  try {
    const frame = JSON.parse(text) as Message | null;
    return typeof frame?.type === 'string' ? frame : null;
  } catch {
    return null;
  }
}
