import type { Message, MessageMeta } from './types.js';

export interface ParkedMessage {
  readonly message: Message;
  readonly meta: MessageMeta;
}

/** Messages that came before anybody registered for them, in the order in which they came. */
export class Parked {
  #messages: ParkedMessage[] = [];

  add(message: Message, meta: MessageMeta): void {
    this.#messages.push({ message, meta });
  }

  /** Takes out, in order, what somebody wants now. */
  take(isWanted: (type: string) => boolean): ParkedMessage[] {
    if (this.#messages.length === 0) {
      return [];
    }
    const taken: ParkedMessage[] = [];
    this.#messages = this.#messages.filter((parked) => {
      if (isWanted(parked.message.type)) {
        taken.push(parked);
        return false;
      }
      return true;
    });
    return taken;
  }

  drop(seq: number): void {
    this.#messages = this.#messages.filter((parked) => parked.meta.seq !== seq);
  }

  clear(): void {
    this.#messages = [];
  }
}
