import type { Machine } from '../engine/machine.js';
import type { Reporter } from '../page/report.js';
import type { Session } from '../session.js';
import type { Accepted, ClientOptions, OutgoingMessage } from '../types.js';

/** Sends once more what an earlier page left. */
export type Restore = (message: OutgoingMessage, ttlMs?: number) => Promise<Accepted>;

/** With a store, nothing is sent before what an earlier page left. */
export function keepSends(
  store: ClientOptions['outbox'],
  session: Session,
  machine: Machine,
  report: Reporter,
  restore: Restore,
): void {
  if (!store) {
    return;
  }
  machine.callAtOnce((engine, now) => engine.hold_sends(1, now));
  session.outbox.kept = store.open({
    session,
    restore,
    restored: () => {
      // What is restored waits for the engine as well, and may not find the gate open.
      void Promise.resolve(machine.starting).then(() => {
        if (session.isLive) {
          machine.call((engine, now) => engine.hold_sends(0, now));
        }
      });
    },
    problem: (text, cause) => report.problem(text, cause),
  });
}
