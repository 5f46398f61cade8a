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
  /** Everything up to here is trimmed. */
  #trimmed = 0;
  #floor = 0;
  readonly #cursors = new Map<string, number>();

  get messages(): readonly FakeMessage[] {
    return this.#messages;
  }

  append(message: Message): FakeMessage {
    this.head += 1;
    const id = typeof message.id === 'string' ? message.id : `${this.epoch}-${this.head}`;
    const kept = { ...message, id, seq: this.head };
    this.#messages.push(kept);
    return kept;
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
  start(after: unknown, epoch: unknown, device: string): { after: number; known: boolean } {
    if (typeof after !== 'number') {
      return { after: this.cursor(device), known: true };
    }
    const known = (epoch === undefined || epoch === this.epoch) && after <= this.head;
    return { after: known ? after : this.cursor(device), known };
  }

  read(after: number): Reading {
    const messages = this.#messages.filter(({ seq }) => seq > after);
    const isMissing = after < this.#trimmed;
    return { next: isMissing ? this.#trimmed + 1 : null, messages, recovered: !isMissing };
  }

  trim(through: number): void {
    this.#trimmed = Math.max(this.#trimmed, Math.min(through, this.head));
    this.#messages = this.#messages.filter(({ seq }) => seq > this.#trimmed);
  }

  /** Forgets everything but the last position. */
  erase(): void {
    this.#messages = [];
    this.#cursors.clear();
    this.#floor = this.head;
    this.#trimmed = 0;
    this.#renew();
  }

  /** Goes back to an earlier state, as after a backup. */
  restore(head: number): void {
    this.#messages = this.#messages.filter(({ seq }) => seq <= head);
    this.head = Math.min(head, this.head);
    this.#floor = Math.min(this.#floor, this.head);
    for (const [device, cursor] of this.#cursors) {
      this.#cursors.set(device, Math.min(cursor, this.head));
    }
    this.#renew();
  }

  #renew(): void {
    this.#generation += 1;
    this.epoch = `epoch-${this.#generation}`;
  }
}
