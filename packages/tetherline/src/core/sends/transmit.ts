import type { Engine } from '../engine/engine.js';
import { monotonicNow } from '../engine/loop.js';
import type { Session } from '../session.js';
import { tooLarge } from './outbox.js';

/** Puts a send of this page on its way, or one of another tab that goes by here. */
export function transmitSend(
  { link, outbox, messageBytesMax }: Session,
  number: number,
  engine: Engine | undefined,
): void {
  const unsettled = outbox.get(number);
  if (!link || !unsettled) {
    const passedOn = link?.passedOn?.get(number);
    if (passedOn) {
      link?.send(passedOn.text, passedOn.id);
    }
    return;
  }
  // It may have been written before the server said how much it takes.
  const refusal = tooLarge(unsettled, messageBytesMax);
  if (refusal) {
    unsettled.refusal = refusal;
    engine?.refused(link.conn, number, 0, -1, monotonicNow());
  } else {
    link.send(unsettled.text, unsettled.id);
  }
}
