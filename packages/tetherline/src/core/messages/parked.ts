import type { Message, MessageMeta } from '../types.js';
import type { Promises } from './handlers.js';

export interface ParkedMessage {
  readonly message: Message;
  readonly meta: MessageMeta;
  readonly size: number;
  /** Its type is held: it waits for as long as it takes. */
  isHeld: boolean;
  /** Set when the handlers of every type have seen it: what they returned. */
  seen: Promises | undefined;
}

/** Messages that came before anybody registered for them, in the order in which they came. */
export class Parked {
  #messages: ParkedMessage[] = [];

  get all(): readonly ParkedMessage[] {
    return this.#messages;
  }

  add(parked: ParkedMessage): void {
    this.#messages.push(parked);
  }

  /** Takes out, in order, what is meant. */
  take(isMeant: (parked: ParkedMessage) => boolean): ParkedMessage[] {
    const taken = this.#messages.filter(isMeant);
    if (taken.length > 0) {
      this.#messages = this.#messages.filter((parked) => !taken.includes(parked));
    }
    return taken;
  }

  clear(): void {
    this.#messages = [];
  }
}
