import type { Loop } from '../engine/loop.js';
import type { Machine } from '../engine/machine.js';
import type { Reporter } from '../page/report.js';
import type { StreamStore } from '../types.js';

const NONE: [] = [];

/** The store of streams, once there is one. Before, nobody looks at them. */
export class ShownStreams {
  store: StreamStore | undefined;

  constructor(store: StreamStore | undefined) {
    this.store = store;
  }

  readonly getStream: StreamStore['getStream'] = (uuid) => this.store?.getStream(uuid);

  readonly getStreams: StreamStore['getStreams'] = () => this.store?.getStreams() ?? NONE;

  readonly subscribe: StreamStore['subscribe'] = (listener) =>
    this.store?.subscribe(listener) ?? (() => undefined);

  /** The client has begun. */
  open(loop: Loop, report: Reporter): StreamStore | undefined {
    this.store?.open(loop, report);
    return this.store;
  }

  /** The first store counts. */
  show(make: () => StreamStore, { loop, inbound }: Machine, report: Reporter): void {
    if (!this.store) {
      this.store = make();
      if (loop && inbound) {
        inbound.streams = this.open(loop, report);
        loop.call((engine, now) => engine.request_pending(now));
      }
    }
  }
}
