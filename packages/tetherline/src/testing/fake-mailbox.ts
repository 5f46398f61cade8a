import type { Message } from '../index.js';

/** A message as the fake mailbox keeps it. */
export interface FakeMessage extends Message {
  id: string;
  seq: number;
}

/** What is sent to a reader, and whether anything is missing before it. */
export interface Reading {
  /** Where the gap ends, if there is one. */
  next: number | null;
  messages: FakeMessage[];
  recovered: boolean;
}

/** One user's messages and cursors, in memory. */
export class FakeMailbox {
  epoch = 'epoch-1';
  head = 0;
  #messages: FakeMessage[] = [];
  #generation = 1;
  #copies = 0;
  /** Everything up to here is trimmed. */
  #trimmed = 0;
  #trimmedId: string | undefined;
  #floor = 0;
  readonly #cursors = new Map<string, number>();

  get messages(): readonly FakeMessage[] {
    return this.#messages;
  }

  append(message: Message): FakeMessage {
    this.head += 1;
    const id = typeof message.id === 'string' ? message.id : this.#freshId();
    const kept = { ...message, id, seq: this.head };
    this.#messages.push(kept);
    return kept;
  }

  /** The message at a position, if it is known. */
  idAt(seq: number): string | undefined {
    return seq === this.#trimmed
      ? this.#trimmedId
      : this.#messages.find((it) => it.seq === seq)?.id;
  }

  cursor(device: string): number {
    return this.#cursors.get(device) ?? this.#floor;
  }

  acknowledge(device: string, seq: number): void {
    const cursor = Math.max(this.cursor(device), Math.min(seq, this.head));
    this.#cursors.set(device, cursor);
    this.#floor = Math.max(this.#floor, cursor);
  }

  /** Where a reader starts who asks like this, and whether that is where they wanted to. */
  start(
    after: unknown,
    epoch: unknown,
    device: string,
    afterId?: unknown,
  ): { after: number; known: boolean } {
    if (typeof after !== 'number') {
      return { after: this.cursor(device), known: true };
    }
    const id = this.idAt(after);
    const isAnother = typeof afterId === 'string' && id !== undefined && id !== afterId;
    const isCounted = epoch === undefined || epoch === this.epoch;
    const known = isCounted && after <= this.head && !isAnother;
    return { after: known ? after : this.cursor(device), known };
  }

  read(after: number): Reading {
    const messages = this.#messages.filter(({ seq }) => seq > after);
    const isMissing = after < this.#trimmed;
    return { next: isMissing ? this.#trimmed + 1 : null, messages, recovered: !isMissing };
  }

  trim(through: number): void {
    const trimmed = Math.max(this.#trimmed, Math.min(through, this.head));
    this.#trimmedId = this.idAt(trimmed);
    this.#trimmed = trimmed;
    this.#messages = this.#messages.filter(({ seq }) => seq > this.#trimmed);
  }

  /** Forgets everything but the last position. */
  erase(): void {
    this.#messages = [];
    this.#cursors.clear();
    this.#floor = this.head;
    this.#trimmed = 0;
    this.#trimmedId = undefined;
    this.#renew();
  }

  /** Goes back to an earlier state, as after a backup: announced, or by somebody who copied files. */
  restore(head: number, isAnnounced = true): void {
    this.#messages = this.#messages.filter(({ seq }) => seq <= head);
    this.head = Math.min(head, this.head);
    this.#floor = Math.min(this.#floor, this.head);
    for (const [device, cursor] of this.#cursors) {
      this.#cursors.set(device, Math.min(cursor, this.head));
    }
    if (isAnnounced) {
      this.#renew();
    } else {
      // What comes instead of the lost messages has other ids.
      this.#copies += 1;
    }
  }

  #freshId(): string {
    const id = `${this.epoch}-${this.head}`;
    return this.#copies === 0 ? id : `${id}-${this.#copies}`;
  }

  #renew(): void {
    this.#generation += 1;
    this.epoch = `epoch-${this.#generation}`;
  }
}
